//! The other listener, `tiny_http::Server`: for trusted networks and for comparison.
//!
//! Each SSE request is handed to its own OS thread. Its streams have no socket of their own, so every
//! frame takes the thread's way, and a hang-up is noticed when a heartbeat fails. What the library does
//! before a request is seen here (reading heads, taking bodies' lengths at their word) is its own; the
//! README says what that means on an open network.

use super::request::HEADERS_MAX;
use super::{Answer, Answered, Limits, Listener, Request, Response, Site, answer, log_request};
use crate::client::{Client, Stream};
use crate::error::Error;
use crate::hub::wire::Wire;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

/// Threads that answer requests; a stream gets one of its own.
const WORKERS: usize = 4;

/// The handle of the listener.
pub struct Tiny {
    address: SocketAddr,
    server: Arc<tiny_http::Server>,
    shared: Arc<Shared>,
}

struct Shared {
    site: Arc<dyn Site>,
    limits: Limits,
    busy: AtomicUsize,
}

impl Tiny {
    /// Binds and serves from then on. Fails if the address cannot be had.
    pub fn start(address: SocketAddr, site: Arc<dyn Site>, limits: Limits) -> io::Result<Tiny> {
        Tiny::over(TcpListener::bind(address)?, site, limits)
    }

    /// Serves a socket that listens already. Fails if the system has no thread left.
    pub fn over(listener: TcpListener, site: Arc<dyn Site>, limits: Limits) -> io::Result<Tiny> {
        let address = listener.local_addr()?;
        let server = tiny_http::Server::from_listener(listener, None).map_err(io::Error::other)?;
        let server = Arc::new(server);
        let shared = Arc::new(Shared { site, limits, busy: AtomicUsize::new(0) });
        for _ in 0..WORKERS {
            let (server, shared) = (server.clone(), shared.clone());
            thread::Builder::new().name("tiny_http".into()).spawn(move || work(&server, &shared))?;
        }
        Ok(Tiny { address, server, shared })
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
        self.shared.busy.load(Relaxed)
    }

    fn hang_up(&self) {
        // The connections are the library's; it closes them with the process.
    }
}

/// Ends when the server is unblocked: `recv` then gives an error.
fn work(server: &tiny_http::Server, shared: &Arc<Shared>) {
    while let Ok(request) = server.recv() {
        let began = Instant::now();
        serve(request, shared, began);
    }
}

fn serve(mut incoming: tiny_http::Request, shared: &Arc<Shared>, began: Instant) {
    let busy = Busy::new(shared);
    let (method, path) = (incoming.method().to_string(), incoming.url().to_owned());
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let answer = ask(&mut incoming, shared);
    match answer {
        Answer::Full(response) => {
            let (status, bytes) = (response.status.as_u16(), response.body.len() as u64);
            // A browser that is gone needs no answer.
            let _ = incoming.respond(convert(&response));
            let answered = Answered { method: &method, path: &path, status, took: began.elapsed() };
            log_request(&answered, bytes);
            shared.site.answered(&answered);
        }
        Answer::Stream(response, stream) => {
            let thread = thread::Builder::new().name("stream".into());
            let spawned = thread.spawn(move || {
                let status = response.status.as_u16();
                let answered = Answered { method: &method, path: &path, status, took: began.elapsed() };
                busy.0.site.answered(&answered);
                let bytes = follow(incoming, &response, stream, &busy.0);
                log_request(&Answered { took: began.elapsed(), ..answered }, bytes);
            });
            if let Err(error) = spawned {
                log::warn!("failed to start a thread for a stream: {error}");
            }
        }
    }
}

fn follow(incoming: tiny_http::Request, response: &Response, stream: Stream, shared: &Shared) -> u64 {
    let client = Client::new(Wire::Writer(incoming.into_writer()), shared.limits.pace);
    shared.site.follow(client, response.encode(true, true), stream).bytes
}

/// Asks the site, with the library's request as ours.
fn ask(incoming: &mut tiny_http::Request, shared: &Shared) -> Answer {
    let site = &*shared.site;
    let mut request = match convert_head(incoming) {
        Ok(request) => request,
        Err(error) => return Answer::Full(site.refuse(&error, None)),
    };
    match read_body(incoming, shared.limits.body_bytes_max) {
        Ok(body) => request.body = body,
        Err(error) => return Answer::Full(site.refuse(&error, Some(&request))),
    }
    answer(site, &mut request)
}

fn convert_head(incoming: &tiny_http::Request) -> Result<Request, Error> {
    let mut headers = HeaderMap::new();
    for field in incoming.headers().iter().take(HEADERS_MAX) {
        let name = HeaderName::from_bytes(field.field.as_str().as_str().as_bytes());
        let value = HeaderValue::from_str(field.value.as_str());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let method = incoming.method().to_string();
    Ok(Request {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| Error::bad("not a method"))?,
        uri: incoming.url().parse().map_err(|_| Error::bad("the request's target is not a path"))?,
        version: Version::HTTP_11,
        headers,
        body: Vec::new(),
        client: incoming.remote_addr().map_or([0, 0, 0, 0].into(), std::net::SocketAddr::ip),
        captures: Default::default(),
        grant: None,
    })
}

fn read_body(incoming: &mut tiny_http::Request, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    if incoming.body_length().is_none_or(|bytes| bytes <= bytes_max) {
        // One byte more than is taken shows that there are too many.
        let mut reader = incoming.as_reader().take(bytes_max as u64 + 1);
        reader.read_to_end(&mut body).map_err(|_| Error::bad("the body ended too early"))?;
        if body.len() <= bytes_max {
            return Ok(body);
        }
    }
    Err(Error::TooLarge { bytes_max })
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

/// Counts as busy for as long as it lives.
struct Busy(Arc<Shared>);

impl Busy {
    fn new(shared: &Arc<Shared>) -> Busy {
        shared.busy.fetch_add(1, Relaxed);
        Busy(shared.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
