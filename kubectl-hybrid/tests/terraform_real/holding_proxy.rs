//! A proxy before the sandbox's AWS that keeps one request back: whoever sent it can be killed at
//! just that point.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long a test waits for the request.
const PATIENCE: Duration = Duration::from_mins(1);

type IsIt = dyn Fn(&str) -> bool + Send + Sync;

pub(crate) struct HoldingProxy {
    url: String,
    reached: Receiver<()>,
}

impl HoldingProxy {
    /// Passes everything on until a request whose head `is_it`, which is never answered.
    pub(crate) fn before(is_it: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let upstream = std::env::var("AWS_ENDPOINT_URL").unwrap();
        let upstream = upstream
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, reached) = channel();
        let is_it: Arc<IsIt> = Arc::new(is_it);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (upstream, is_it, sender) =
                    (upstream.clone(), Arc::clone(&is_it), sender.clone());
                std::thread::spawn(move || pass(client.unwrap(), &upstream, &*is_it, &sender));
            }
        });
        Self { url, reached }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn wait_for_the_request(&self) {
        self.reached.recv_timeout(PATIENCE).unwrap();
    }
}

/// One request for each connection: the answer says that it is closed afterwards.
fn pass(client: TcpStream, upstream: &str, is_it: &IsIt, reached: &Sender<()>) {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    if head.is_empty() {
        return;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut client = reader.into_inner();
    if is_it(&head) {
        // The test may have ended.
        let _told = reached.send(());
        // Nothing is answered until the client is gone.
        let _read = client.read(&mut [0]);
        return;
    }
    let mut server = TcpStream::connect(upstream).unwrap();
    server.write_all(head.as_bytes()).unwrap();
    server.write_all(b"Connection: close\r\n\r\n").unwrap();
    server.write_all(&body).unwrap();
    let _copied = std::io::copy(&mut server, &mut client);
    let _closed = client.shutdown(Shutdown::Both);
}
