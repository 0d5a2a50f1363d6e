//! A way to the API server that can be cut, and that knows how much is asked on it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{kubectl, until};

/// The way.
pub(crate) struct Way {
    server: String,
    port: u16,
    listener: Arc<Mutex<Option<TcpListener>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    asked: Arc<AtomicU64>,
}

impl Way {
    pub(crate) fn to_the_api_server() -> Self {
        let path = "-o=jsonpath={.clusters[0].cluster.server}";
        let server = kubectl(&["config", "view", "--minify", path]);
        let way = Self {
            server: server.trim_start_matches("https://").to_owned(),
            port: TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port(),
            listener: Arc::default(),
            open: Arc::default(),
            asked: Arc::default(),
        };
        way.open();
        way
    }

    pub(crate) fn open(&self) {
        let listener = until("the port is free", || {
            TcpListener::bind(("127.0.0.1", self.port)).ok()
        });
        listener.set_nonblocking(true).unwrap();
        *self.listener.lock().unwrap() = Some(listener);
        let (slot, open) = (Arc::clone(&self.listener), Arc::clone(&self.open));
        let (server, asked) = (self.server.clone(), Arc::clone(&self.asked));
        thread::spawn(move || {
            loop {
                let accepted = match slot.lock().unwrap().as_ref() {
                    Some(listener) => listener.accept(),
                    None => return,
                };
                match accepted {
                    Ok((near, _)) => {
                        let far = TcpStream::connect(&server).unwrap();
                        join(&near, &far, &open, &asked);
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
    }

    /// How many bytes have been sent towards the API server.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// Ends every connection and takes no more.
    pub(crate) fn cut(&self) {
        drop(self.listener.lock().unwrap().take());
        for stream in self.open.lock().unwrap().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(crate) fn kubeconfig(&self, folder: &Path) -> std::path::PathBuf {
        let real = fs::read_to_string(std::env::var("KUBECONFIG").unwrap()).unwrap();
        let path = folder.join("kubeconfig");
        fs::write(
            &path,
            real.replace(&self.server, &format!("127.0.0.1:{}", self.port)),
        )
        .unwrap();
        path
    }
}

fn join(near: &TcpStream, far: &TcpStream, open: &Mutex<Vec<TcpStream>>, asked: &Arc<AtomicU64>) {
    near.set_nonblocking(false).unwrap();
    let mut kept = open.lock().unwrap();
    for (from, to, asked) in [(near, far, Some(Arc::clone(asked))), (far, near, None)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        kept.push(from.try_clone().unwrap());
        thread::spawn(move || pass_on(from, to, asked.as_deref()));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, passed: Option<&AtomicU64>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(passed) = passed {
            passed.fetch_add(count as u64, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}
