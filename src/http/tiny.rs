//! The other listener, `tiny_http::Server`: for trusted networks and for comparison.
//!
//! Each SSE request is handed to its own OS thread. Its streams have no socket of their own, so every frame
//! takes the thread's way, and a hang-up is noticed when a heartbeat fails. The library reads heads and trusts the
//! stated length of a body in its own way, which cannot be changed here; docs/running.md says what that means on an open
//! network.

use super::busy::Busy;
use super::path::Target;
use super::proxies::Proxies;
use super::{
    Answer, Answered, HEADERS_MAX, Limits, Listener, Request, Response, STACK_BYTES, Site, answer,
    log_request, log_stream,
};
use crate::client::{Client, EndedStream, Stream};
use crate::error::Error;
use crate::hub::chunk::Coding;
use crate::hub::wire::Wire;
use crate::os::threads::Threads;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

/// Threads that answer requests; a stream gets one of its own. When all are taken, requests wait.
const WORKERS: usize = 4;

/// The handle of the listener. Its threads end when it is dropped.
pub struct Tiny {
    address: SocketAddr,
    server: Arc<tiny_http::Server>,
    shared: Arc<Shared>,
}

/// What all threads of the listener share.
struct Shared {
    site: Arc<dyn Site>,
    limits: Limits,
    proxies: Proxies,
    busy: Busy,
    threads: Threads,
}

/// A thread that answers requests.
struct Worker {
    server: Arc<tiny_http::Server>,
    shared: Arc<Shared>,
}

impl Tiny {
    /// Serves a socket that listens already. Fails if a thread cannot be started.
    pub fn start(
        listener: TcpListener,
        site: Arc<dyn Site>,
        limits: Limits,
        proxies: Proxies,
        threads: &Threads,
    ) -> io::Result<Tiny> {
        let address = listener.local_addr()?;
        let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
        let (server, busy, threads) = (Arc::new(server), Busy::new(), threads.clone());
        let shared = Arc::new(Shared { site, limits, proxies, busy, threads });
        let tiny = Tiny { address, server, shared };
        for _ in 0..WORKERS {
            let (server, shared) = (tiny.server.clone(), tiny.shared.clone());
            let worker = Worker { server, shared };
            tiny.shared.threads.spawn("tiny_http", move || worker.run())?;
        }
        Ok(tiny)
    }
}

impl Listener for Tiny {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn stop(&self) {
        (0..WORKERS).for_each(|_| self.server.unblock());
    }

    fn busy(&self) -> usize {
        self.shared.busy.count()
    }

    /// Does nothing: the connections are the library's. Each is closed when its peer closes it, and the
    /// library's own threads end some seconds after that.
    fn hang_up(&self) {}
}

impl Drop for Tiny {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Worker {
    /// Runs until the server is unblocked: then `recv` gives an error.
    fn run(self) {
        while let Ok(incoming) = self.server.recv() {
            self.serve(incoming, Instant::now());
        }
    }

    fn serve(&self, mut incoming: tiny_http::Request, began: Instant) {
        let busy = self.shared.busy.guard();
        let Asked { client, method, path, answer } = self.shared.ask(&mut incoming);
        match answer {
            Answer::Full(response) => {
                let (status, bytes) = (response.status.as_u16(), response.body.len() as u64);
                let is_refusal = response.is_refusal;
                // A browser that is gone needs no answer.
                let _ = incoming.respond(convert(&response));
                let (method, path) = (&method, &path);
                let answered = Answered { client, method, path, status, took: began.elapsed() };
                log_request(&answered, bytes, is_refusal);
                self.shared.site.answered(&answered);
            }
            Answer::Stream(response, stream) => {
                let shared = self.shared.clone();
                let spawned = self.shared.threads.spawn_short_lived("stream", STACK_BYTES, move || {
                    let _busy = busy;
                    let (method, path, status) = (&method, &path, response.status.as_u16());
                    let answered = Answered { client, method, path, status, took: began.elapsed() };
                    shared.site.answered(&answered);
                    let ended = shared.stream(incoming, &response, stream);
                    log_stream(&Answered { took: began.elapsed(), ..answered }, &ended);
                });
                if let Err(error) = spawned {
                    log::warn!("failed to start a thread for a stream: {error}");
                }
            }
        }
    }
}

impl Shared {
    /// Asks the site, with the library's request as ours.
    fn ask(&self, incoming: &mut tiny_http::Request) -> Asked {
        // Only a Unix socket has peers without an address, and this listener is given none.
        let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let mut peer = incoming.remote_addr().copied().unwrap_or(unspecified);
        peer.set_ip(peer.ip().to_canonical());
        let mut request = match convert_head(incoming, peer) {
            Ok(request) => request,
            Err(error) => {
                let answer = Answer::Full(self.site.refuse(&error, None));
                return Asked { client: peer.ip(), method: "-".into(), path: "-".into(), answer };
            }
        };
        self.proxies.identify(&mut request, None);
        let answer = match read_body(incoming, self.limits.body_bytes_max) {
            Ok(body) => {
                request.body = body;
                answer(&*self.site, &mut request)
            }
            Err(error) => Answer::Full(self.site.refuse(&error, Some(&request))),
        };
        let (method, path) = (request.method.to_string(), request.path().to_owned());
        Asked { client: request.client, method, path, answer }
    }

    fn stream(&self, incoming: tiny_http::Request, response: &Response, stream: Stream) -> EndedStream {
        let is_old = *incoming.http_version() < (1, 1);
        let coding = if is_old { Coding::Identity } else { Coding::Chunked };
        let (wire, head) = (Wire::Writer(incoming.into_writer()), response.encode_open(coding));
        self.site.run(Client::new(wire, coding, self.limits.pace, head, stream, None))
    }
}

/// An answer, and what the log says about its request.
struct Asked {
    client: IpAddr,
    method: String,
    path: String,
    answer: Answer,
}

fn convert_head(incoming: &tiny_http::Request, peer: SocketAddr) -> Result<Request, Error> {
    let mut headers = HeaderMap::new();
    for field in incoming.headers().iter().take(HEADERS_MAX) {
        let name = HeaderName::from_bytes(field.field.as_str().as_str().as_bytes());
        let value = HeaderValue::from_str(field.value.as_str());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let method = incoming.method().to_string();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Error::bad("the method is not a word"))?;
    let target = Target::parse(incoming.url())?;
    Ok(Request::new(method, target, Version::HTTP_11, headers, peer))
}

fn read_body(incoming: &mut tiny_http::Request, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    if incoming.body_length().is_none_or(|bytes| bytes <= bytes_max) {
        // One byte more than the limit shows that the body is too long.
        let mut reader = incoming.as_reader().take(bytes_max as u64 + 1);
        reader.read_to_end(&mut body).map_err(|_| {
            Error::bad("the body ended too early").hint("send as many bytes as `Content-Length` says")
        })?;
        if body.len() <= bytes_max {
            return Ok(body);
        }
    }
    Err(Error::too_large(bytes_max))
}

fn convert(response: &Response) -> tiny_http::Response<io::Cursor<Vec<u8>>> {
    let mut converted =
        tiny_http::Response::from_data(&*response.body).with_status_code(response.status.as_u16());
    for (name, value) in &response.headers {
        if let Ok(field) = tiny_http::Header::from_bytes(name.as_str(), value.as_bytes()) {
            converted.add_header(field);
        }
    }
    converted
}
