//! Load generator: persistent connections, concurrent clients, percentiles.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};

/// Percentiles of similar actions.
#[derive(Clone, Copy)]
pub struct Times {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

/// Result of a load.
pub struct Load {
    pub times: Times,
    /// Actions per second of all clients.
    pub rate: f64,
}

/// A client with its own connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    /// Header with credentials: name and value.
    who: (&'static str, String),
    /// Id of the region that is requested instead of the page.
    region: Option<String>,
}

impl Client {
    /// Connects to an address like `http://127.0.0.1:8080`.
    pub async fn connect(url: &str, who: (&'static str, String)) -> Result<Self, String> {
        let host = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await.map_err(told("connect"))?;
        stream.set_nodelay(true).map_err(told("connect"))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(told("connect"))?;
        tokio::spawn(connection);
        Ok(Self { sender, host, who, region: None })
    }

    /// Connects to the local socket of a program, like its commands.
    pub async fn local(socket: &Path) -> Result<Self, String> {
        let stream = UnixStream::connect(socket).await.map_err(told("connect"))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(told("connect"))?;
        tokio::spawn(connection);
        let who = ("accept", "application/json".to_owned());
        Ok(Self { sender, host: "localhost".to_owned(), who, region: None })
    }

    /// Requests only the region with this id from now on, like a page's script.
    pub fn wants(&mut self, region: &str) {
        self.region = Some(region.to_owned());
    }

    /// Sends a request; returns the response with its unread body.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, String> {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.send_as(method, path, body).await
    }

    /// The same with any body: media type and bytes.
    async fn send_as(
        &mut self,
        method: &str,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<Response<Incoming>, String> {
        let (name, value) = &self.who;
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", &self.host).header(*name, value);
        if *name == "cookie" {
            // Header of same-origin requests in browsers.
            request = request.header("sec-fetch-site", "same-origin");
        }
        if let Some((kind, _)) = &body {
            request = request.header("content-type", *kind);
        }
        if let Some(region) = &self.region {
            let target = format!("#{region}");
            request = request.header("hx-request", "true").header("hx-target", target);
        }
        let bytes = body.map(|(_, bytes)| bytes).unwrap_or_default();
        let request = request.body(Full::new(bytes)).map_err(told(path))?;
        // The connection may not be ready yet after the previous response.
        self.sender.ready().await.map_err(told(path))?;
        let answer = self.sender.send_request(request).await.map_err(told(path))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let text = answer.into_body().collect().await.map_err(told(path))?.to_bytes();
        let text: String = String::from_utf8_lossy(&text).chars().take(120).collect();
        Err(format!("{method} {path} answers {status} {text}"))
    }

    /// Uploads a file; returns the JSON response.
    pub async fn file(&mut self, path: &str, bytes: Vec<u8>) -> Result<Value, String> {
        let body = ("application/octet-stream", Bytes::from(bytes));
        let answer = self.send_as("POST", path, Some(body)).await?;
        let bytes = answer.into_body().collect().await.map_err(told(path))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(told(path))
    }

    /// Sends a request and reads the whole response.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, String> {
        let answer = self.send(method, path, body).await?;
        Ok(answer.into_body().collect().await.map_err(told(path))?.to_bytes())
    }

    /// Duration of a page request.
    pub async fn timed(&mut self, path: &str) -> Result<Duration, String> {
        let began = Instant::now();
        self.call("GET", path, None).await?;
        Ok(began.elapsed())
    }

    /// Like [`Self::call`], for JSON responses.
    pub async fn json(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let bytes = self.call(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(told(path))
    }
}

/// Repeats an action with all clients for `span`, after a warm-up of a tenth of it. The action gets the client's number
/// and its call count.
pub async fn repeat<A>(clients: Vec<Client>, span: Duration, act: A) -> Result<Load, String>
where
    A: AsyncFn(&mut Client, usize, usize) -> Result<(), String>,
{
    let warm = Instant::now() + span / 10;
    let end = warm + span;
    let act = &act;
    let work = clients.into_iter().enumerate().map(|(number, mut client)| async move {
        let mut times = Vec::new();
        for count in 0.. {
            let began = Instant::now();
            if began >= end {
                break;
            }
            act(&mut client, number, count).await?;
            if began >= warm {
                times.push(began.elapsed());
            }
        }
        Ok::<_, String>(times)
    });
    let times: Vec<Duration> = try_join_all(work).await?.into_iter().flatten().collect();
    let rate = times.len() as f64 / span.as_secs_f64();
    Ok(Load { times: share(times)?, rate })
}

/// Times of pages requested in turn for `span`.
pub async fn in_turn(client: Client, paths: &[String], span: Duration) -> Result<Times, String> {
    let load = repeat(vec![client], span, async |client, _, count| {
        client.call("GET", &paths[count % paths.len()], None).await.map(drop)
    });
    Ok(load.await?.times)
}

/// Times of pages requested in turn while `work` runs, and its result.
pub async fn beside<T>(
    page: &mut Client,
    paths: &[String],
    work: impl Future<Output = Result<T, String>>,
) -> Result<(Vec<Duration>, T), String> {
    let mut times = Vec::new();
    tokio::pin!(work);
    loop {
        let path = &paths[times.len() % paths.len()];
        tokio::select! {
            done = &mut work => return Ok((times, done?)),
            time = page.timed(path) => times.push(time?),
        }
    }
}

/// Computes the percentiles.
pub fn share(mut times: Vec<Duration>) -> Result<Times, String> {
    times.sort_unstable();
    let at = |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len() - 1));
    if times.is_empty() {
        return Err("nothing was finished in time".to_owned());
    }
    let (p50, p99) = (at(50).copied(), at(99).copied());
    Ok(Times { p50: p50.unwrap_or_default(), p99: p99.unwrap_or_default() })
}

/// Cost of a durable write of 4 KiB on this disk: the lower bound of every commit.
pub fn fsync_of_disk() -> Times {
    let mut file: File = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
    let block = [7_u8; 4096];
    let mut times = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        file.seek(SeekFrom::Start(0)).expect("a file can be rewound");
        file.write_all(&block).expect("a small write");
        file.sync_data().expect("an fsync");
        times.push(began.elapsed());
    }
    share(times).expect("five hundred times")
}

/// Adds the failed action to an error.
pub fn told<E: std::fmt::Display>(doing: &str) -> impl Fn(E) -> String {
    move |error| format!("{doing}: {error}")
}
