//! A site under any name: a proxy that answers every request itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

/// A response.
pub(super) enum Reply {
    /// Head lines and body.
    Bytes { status: &'static str, head: String, body: Vec<u8> },
    /// No response; the connection stays open.
    Stall,
    /// An endless file.
    Endless,
}

type Answer = dyn Fn(&str, &str) -> Reply + Send + Sync;

pub(super) struct Site {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Responds by host and path.
    pub(super) fn new(answer: impl Fn(&str, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        let answer: Arc<Answer> = Arc::new(answer);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                thread::spawn(move || serve(connection, &*answer, &noted));
            }
        });
        Self { port, requests }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Received requests: method, address, and the body after a space.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().clone()
    }

    pub(super) fn page(html: &str) -> Reply {
        Reply::Bytes {
            status: "200 OK",
            head: "content-type: text/html; charset=utf-8\r\n".to_owned(),
            body: html.as_bytes().to_vec(),
        }
    }
}

fn serve(mut connection: TcpStream, answer: &Answer, requests: &Mutex<Vec<String>>) -> Option<()> {
    let mut read = BufReader::new(connection.try_clone().ok()?);
    let mut line = String::new();
    read.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, address) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut length = 0;
    loop {
        line.clear();
        read.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    requests.lock().push(format!("{method} {address} {body}"));
    let bare = address.strip_prefix("http://").unwrap_or(&address);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    match answer(host, path) {
        Reply::Bytes { status, head, body } => {
            write!(
                connection,
                "HTTP/1.1 {status}\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            )
            .ok()?;
            connection.write_all(&body).ok()?;
        }
        Reply::Stall => {
            // Until the other side closes the connection.
            read.read_exact(&mut [0]).ok()?;
        }
        Reply::Endless => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\
                content-disposition: attachment; filename=big.bin\r\nconnection: close\r\n\r\n";
            connection.write_all(head.as_bytes()).ok()?;
            while connection.write_all(&[7; 1 << 16]).is_ok() {}
        }
    }
    Some(())
}
