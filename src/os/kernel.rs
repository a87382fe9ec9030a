//! Calls to the kernel that no library here offers as safe functions. This is all unsafe code of the crate.
#![expect(unsafe_code)]

use socket2::SockRef;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::{fs, io, ptr};

/// Receives what has arrived; 0 bytes mean the end of the stream. Never blocks: fails with `WouldBlock` if nothing
/// has arrived.
pub(crate) fn receive_now(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: it is the same memory, and the kernel writes only initialised bytes into it.
    let buffer = unsafe { &mut *(ptr::from_mut(buffer) as *mut [std::mem::MaybeUninit<u8>]) };
    SockRef::from(socket).recv_with_flags(buffer, libc::MSG_DONTWAIT)
}

/// Whether the kernel holds at most so many bytes that it has not sent yet, and has room for more. Where not, the limit
/// stays, so that readiness is told accordingly; else it is taken away, and a write may fill the buffer. True also where
/// the connection is broken: writing says so. Never blocks.
pub(crate) fn has_room(socket: &TcpStream, unsent_bytes: u32) -> io::Result<bool> {
    limit_unsent(socket, unsent_bytes);
    let mut wanted = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let has_room = loop {
        // SAFETY: the pointer is to one `pollfd`, which lives during the call, as does its descriptor.
        match unsafe { libc::poll(&mut wanted, 1, 0) } {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            count => break count > 0,
        }
    };
    if has_room {
        // 0 takes the limit away.
        limit_unsent(socket, 0);
    }
    Ok(has_room)
}

/// How many bytes beyond what it has acknowledged the other side said last that it has room for: its receive window
/// (`tcpi_snd_wnd` of `TCP_INFO`, tcp(7); Linux 5.4). `None` where the kernel does not say.
pub(crate) fn window(socket: &TcpStream) -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        // The field's place in Linux's `struct tcp_info`, which only ever grows at its end.
        const OFFSET: usize = 228;
        let mut info = [0_u8; OFFSET + 4];
        let mut bytes = libc::socklen_t::try_from(info.len()).expect("it is small");
        // SAFETY: the socket stays open while it is borrowed, and the kernel writes at most `bytes` bytes, for which
        // there is room.
        let result = unsafe {
            let info = info.as_mut_ptr().cast();
            libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info, &raw mut bytes)
        };
        let is_known = result == 0 && bytes as usize == info.len();
        let window = u32::from_ne_bytes(*info.last_chunk().expect("it is longer"));
        is_known.then_some(window as usize)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        None
    }
}

/// Has the kernel say that a socket has room only while it holds less than this that is not sent. Where the option is
/// not known, a socket has room while a part of its buffer is free, which bounds it too.
pub(crate) fn limit_unsent(socket: &TcpStream, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(bytes);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, bytes);
}

/// Gives back the memory that the allocator has free and keeps (malloc_trim(3)). Where there is another allocator than
/// glibc's, nothing.
pub(crate) fn trim_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes no pointer, and may be made from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the allocator serve all threads from so many heaps (mallopt(3)). glibc makes eight for each processor, keeps free
/// memory at the end of each, and reserves 64 MB of addresses for each further one, which lie unused where addresses are
/// scarce. To be called before there are threads. Where there is another allocator than glibc's, nothing.
pub(crate) fn limit_heaps(count: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes no pointer; it is refused where it comes too late.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, libc::c_int::try_from(count).unwrap_or(1));
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = count;
}

/// How many bytes the kernel holds that the other side has not acknowledged yet (`SIOCOUTQ`, tcp(7)); 0 where it does not
/// say.
pub(crate) fn unacknowledged(socket: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the socket stays open while it is borrowed, and the kernel writes one integer, for which there is room.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { usize::try_from(bytes).unwrap_or(0) } else { 0 }
}

/// Gives back the memory in which the program's code was mapped while it started. Most of that code will not run
/// again; what does is mapped anew from the kernel's cache of the file. Best effort.
pub(crate) fn give_back_code() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (from, to) in maps.lines().filter_map(code) {
        // SAFETY: these pages are mapped from a file and are read-only, so they come back unchanged, also to a
        // thread that runs in them at this moment.
        unsafe {
            libc::madvise(ptr::without_provenance_mut(from), to - from, libc::MADV_DONTNEED);
        }
    }
}

/// The address range of a line of `/proc/PID/maps`, if it maps code from a file (proc_pid_maps(5)):
/// `from-to permissions offset device inode path`.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp";
    let is_file = fields.nth(2)? != "0";
    let address = |text| usize::from_str_radix(text, 16).ok();
    (is_code && is_file).then_some((address(from)?, address(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn what_the_other_side_has_not_taken_is_unacknowledged() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut other = listener.accept().unwrap().0;
        assert_eq!(unacknowledged(&socket), 0);
        socket.set_nonblocking(true).unwrap();
        // Until both buffers are full.
        while socket.write(&[0; 64 * 1024]).is_ok() {}
        let before = unacknowledged(&socket);
        assert!(before > 0);
        let mut taken = vec![0; 64 * 1024];
        while unacknowledged(&socket) >= before {
            other.read_exact(&mut taken).unwrap();
        }
    }

    #[test]
    fn a_socket_has_room_until_it_holds_what_its_peer_does_not_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        assert!(has_room(&socket, 1).unwrap());
        socket.set_nonblocking(true).unwrap();
        while io::Write::write(&mut socket, &[0; 4_096]).is_ok() {}
        assert!(!has_room(&socket, 1).unwrap());
        drop(peer);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !has_room(&socket, 1).unwrap() {
            assert!(std::time::Instant::now() < until, "writing would say that the connection is broken");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_window_shrinks_by_what_its_peer_does_not_read_and_grows_again_when_it_does() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut other = listener.accept().unwrap().0;
        assert!(window(&socket).unwrap() > 0);
        socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(bytes) = socket.write(&[0; 4_096]) {
            sent += bytes;
        }
        let full = window(&socket).unwrap();
        other.read_exact(&mut vec![0; sent]).unwrap();
        while window(&socket).unwrap() <= full {
            std::thread::yield_now();
        }
    }

    #[test]
    fn code_is_what_may_run_and_comes_from_a_file() {
        let line = "55d0a000-55d0c000 r-xp 00002000 fe:00 1181 /usr/bin/callout";
        assert_eq!(code(line), Some((0x55d0a000, 0x55d0c000)));
        for other in [
            "55d0a000-55d0c000 r--p 00002000 fe:00 1181 /usr/bin/callout",
            "55d0a000-55d0c000 rw-p 00002000 fe:00 1181 /usr/bin/callout",
            "7ffd1000-7ffd3000 r-xp 00000000 00:00 0 [vdso]",
            "7f000000-7f001000 rwxp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }
}
