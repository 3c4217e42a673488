//! Processes the requests and responses of one tunnel in order. Both directions of an exchange run concurrently. A
//! refusal ends the exchange before any refused data is forwarded.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use super::body::{self, Body};
use super::error::StandinError;
use super::fields::Kind;
use super::finder::{End, Sieve};
use super::head::{self, Answer, Framing, HeaderLine, Request};
use super::report::{Refusal, Report};
use super::serve::{Dial, Way};
use super::swap::{Changes, Refused, Swap};
use super::wire::{self, Fault, Sink, Source, Wire};

/// How long, and how many bytes, a program may still send after a refusal.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Why an exchange ends.
enum Stop {
    Refused(Refused),
    Failed(StandinError),
}

impl From<StandinError> for Stop {
    fn from(error: StandinError) -> Self {
        Self::Failed(error)
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Whether another exchange may follow.
#[derive(PartialEq, Eq)]
enum Next {
    Keep,
    Close,
}

/// State of a connection after a response head.
enum After {
    Answered(Next),
    Upgraded,
}

/// A tunnel.
pub(crate) struct Talk<'t> {
    way: &'t Way<'t>,
    dial: &'t mut Dial<'t>,
    report: &'t Report,
    client: Source,
    back: Sink,
    /// The connection to the host, once established.
    host: Option<(Source, Sink)>,
    /// Whether the program has started to receive a response to its last request.
    answered: bool,
}

impl<'t> Talk<'t> {
    pub(crate) fn new(
        client: Wire,
        way: &'t Way<'t>,
        dial: &'t mut Dial<'t>,
        report: &'t Report,
    ) -> Talk<'t> {
        let (client, back) = wire::split(client, way.limits.program);
        Talk { way, dial, report, client, back, host: None, answered: false }
    }

    /// Runs until either side closes the connection.
    pub(crate) async fn run(&mut self) -> Result<(), StandinError> {
        loop {
            match self.turn().await {
                Ok(Next::Keep) => {}
                Ok(Next::Close) => {
                    self.back.close().await;
                    return Ok(());
                }
                Err(Stop::Refused(Refused(why))) => {
                    let host = self.way.host.to_owned();
                    self.report.refused(Refusal { host, why: why.clone() });
                    self.tell("403 Forbidden", &why).await;
                    return Ok(());
                }
                Err(Stop::Failed(error)) => {
                    if let Some(status) = error.status() {
                        self.tell(status, &error.to_string()).await;
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn turn(&mut self) -> Result<Next, Stop> {
        let limits = self.way.limits;
        self.answered = false;
        let head = self.client.head(limits.head, limits.rest, limits.program).await;
        let head = match head {
            Ok(Some(head)) => head,
            // Either side may close the connection between two requests.
            Ok(None) => return Ok(Next::Close),
            Err(Fault::Idle(_) | Fault::Gone(_)) if self.client.held.is_empty() => {
                return Ok(Next::Close);
            }
            Err(fault) => return Err(of_client(fault).into()),
        };
        let request = Request::read(&head, self.way.host, self.way.port);
        self.exchange(&request.map_err(StandinError::Unclear)?).await
    }

    /// Forwards one request and its response.
    async fn exchange(&mut self, request: &Request) -> Result<Next, Stop> {
        let limits = self.way.limits;
        let mut swap = Swap::new(self.way);
        let mut body = Body::new(request.framing, limits.head);
        let kind = self.kind(request);
        // Uses and refusals are recorded before the host receives anything.
        let mut head = swap.head(request, Changes::default())?;
        let mut first = Vec::new();
        if let Some(kind) = kind {
            if request.waits() {
                let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
                self.back.send(go_on).await.map_err(of_client)?;
            }
            let is_whole = self.collect(&mut body, &mut first).await?;
            if is_whole {
                swap.trailers(&body.trailers)?;
                let whole = swap.fields(kind, &first)?;
                let mut second = Swap::new(self.way);
                head = second.head(request, Changes { length: Some(whole.len()) })?;
                head.extend_from_slice(&whole);
                (body, first) = (Body::new(Framing::Nothing, 0), Vec::new());
            }
        }
        let (from, to) = connection(self.way, &mut self.host, self.dial).await?;
        let uses = swap.into_uses();
        for used in &uses {
            self.report.check(used).map_err(Refused)?;
        }
        for used in uses {
            self.report.used(used);
        }
        to.send(&head).await.map_err(|fault| of_host(self.way, fault))?;
        drop(head);
        let upload = Upload { way: self.way, framing: request.framing, body, first };
        let back = Back { way: self.way, to: &mut self.back, answered: &mut self.answered };
        let sent = AtomicBool::new(false);
        let after = {
            let upload = pin!(upload.run(&mut self.client, to, &sent));
            back.run(from, request, upload, &sent).await?
        };
        match after {
            After::Answered(next) => Ok(next),
            After::Upgraded => self.copy().await,
        }
    }

    /// The kind of the body, if one of its fields may contain a placeholder.
    fn kind(&self, request: &Request) -> Option<Kind> {
        let Way { standins, host, port, limits, .. } = self.way;
        let fits = match request.framing {
            Framing::Length(length) => length <= limits.fields as u64,
            Framing::Chunked => true,
            Framing::Nothing | Framing::ToEnd => false,
        };
        let kind = Kind::of(&head::one(&request.lines, "content-type")?.value);
        kind.filter(|_| fits && standins.have_fields(host, *port))
    }

    /// Buffers a body. Returns `false` if it exceeds the limit.
    async fn collect(&mut self, body: &mut Body, whole: &mut Vec<u8>) -> Result<bool, Stop> {
        let limits = self.way.limits;
        while whole.len() <= limits.fields {
            match body.next(&mut self.client, limits.program).await.map_err(of_client)? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Copies both directions until either side closes the connection.
    async fn copy(&mut self) -> Result<Next, Stop> {
        let Some((from, to)) = &mut self.host else { return Ok(Next::Close) };
        let held = (self.client.held.split(), from.held.split());
        to.send(&held.0).await.map_err(|fault| of_host(self.way, fault))?;
        self.back.send(&held.1).await.map_err(of_client)?;
        tokio::select! {
            // ok: on an uninspected connection, both sides notice the end
            _ = tokio::io::copy(&mut self.client.half, &mut to.half) => {}
            _ = tokio::io::copy(&mut from.half, &mut self.back.half) => {}
        }
        to.close().await;
        Ok(Next::Close)
    }

    /// Reports a refusal to the program, if no response has started.
    async fn tell(&mut self, status: &str, why: &str) {
        if self.answered {
            return;
        }
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\n\
             content-length: {}\r\nconnection: close\r\n\r\nHQ: {why}\n",
            why.len() + 5
        );
        // ok, here and below: a program that has disconnected needs no response
        let _ = self.back.send(answer.as_bytes()).await;
        self.back.close().await;
        // Unread data would make the system discard the response.
        let rest = async {
            let mut left = LINGER_BYTES;
            while let Ok(true) = self.client.fill(LINGER).await {
                left = left.saturating_sub(self.client.held.len());
                self.client.held.clear();
                if left == 0 {
                    break;
                }
            }
        };
        let _ = timeout(LINGER, rest).await;
    }
}

/// The open connection to the host, or a new one.
async fn connection<'h, 'd>(
    way: &Way<'_>,
    host: &'h mut Option<(Source, Sink)>,
    dial: &mut Dial<'d>,
) -> Result<(&'h mut Source, &'h mut Sink), StandinError> {
    let is_open = host.as_mut().is_some_and(|(from, _)| from.is_quiet());
    if !is_open {
        *host = None;
    }
    let (from, to) = match host {
        Some(open) => open,
        None => host.insert(wire::split(dial().await?, way.limits.host)),
    };
    Ok((from, to))
}

/// A request body in transit.
struct Upload<'u> {
    way: &'u Way<'u>,
    framing: Framing,
    body: Body,
    /// The part that was already buffered.
    first: Vec<u8>,
}

impl Upload<'_> {
    /// Forwards the body, then waits for the program to disconnect. Completes only if the exchange must end.
    async fn run(mut self, client: &mut Source, to: &mut Sink, sent: &AtomicBool) -> Stop {
        match self.pass(client, to).await {
            Ok(true) => sent.store(true, Ordering::Relaxed),
            // The host accepts no more data, but may have sent a response.
            Ok(false) => return std::future::pending().await,
            Err(stop) => return stop,
        }
        client.gone(self.way.limits.head).await;
        Stop::Failed(StandinError::Gone)
    }

    /// Forwards the body. Returns `false` if the host stopped accepting it.
    async fn pass(&mut self, client: &mut Source, to: &mut Sink) -> Result<bool, Stop> {
        let swap = Swap::new(self.way);
        let (mut sieve, mut clean, mut out) = (Sieve::default(), Vec::new(), Vec::new());
        let mut piece = (!self.first.is_empty()).then(|| std::mem::take(&mut self.first).into());
        loop {
            if piece.is_none() {
                let next = self.body.next(client, self.way.limits.program).await;
                piece = next.map_err(of_client)?;
            }
            let end = if piece.is_none() { End::Here } else { End::Later };
            let bytes = piece.take().unwrap_or_default();
            sieve.push(&self.way.standins.words, (&bytes, end), &mut clean, |number, _| {
                Err(swap.closed(number, "the body"))
            })?;
            body::write(self.framing, &clean, &mut out);
            clean.clear();
            if end == End::Here {
                Swap::new(self.way).trailers(&self.body.trailers)?;
                body::end(self.framing, &self.body.trailers, &mut out);
            }
            if to.send(&out).await.is_err() {
                return Ok(false);
            }
            out.clear();
            if end == End::Here {
                return Ok(true);
            }
        }
    }
}

/// A response in transit.
struct Back<'b> {
    way: &'b Way<'b>,
    to: &'b mut Sink,
    answered: &'b mut bool,
}

impl Back<'_> {
    /// Forwards the response while the request body is still being sent.
    async fn run(
        self,
        from: &mut Source,
        request: &Request,
        mut upload: std::pin::Pin<&mut (impl Future<Output = Stop> + Send)>,
        sent: &AtomicBool,
    ) -> Result<After, Stop> {
        let Back { way, to, answered } = self;
        let answer = loop {
            let limits = way.limits;
            let head = tokio::select! {
                biased;
                stop = &mut upload => return Err(stop),
                head = from.head(limits.head, limits.host, limits.host) => head,
            };
            let head = match head {
                Ok(Some(head)) => head,
                Ok(None) => {
                    return Err(of_host(way, Fault::Gone("it said nothing".to_owned())).into());
                }
                // The host need not respond before it has received the whole request.
                Err(Fault::Idle(_)) if !sent.load(Ordering::Relaxed) => continue,
                Err(fault) => return Err(of_host(way, fault).into()),
            };
            let answer = Answer::read(&head, &request.method);
            let answer = answer.map_err(|why| unclear(way, why))?;
            if 200 <= answer.status || answer.status == 101 {
                break answer;
            }
            to.send(&shown(way, &answer, Framing::Nothing)).await.map_err(of_client)?;
        };
        if answer.is_packed() {
            return Err(unclear(way, "it is packed, although it was asked not to be").into());
        }
        let is_upgraded = answer.status == 101;
        if is_upgraded && !request.upgrades {
            return Err(unclear(way, "it changes to what was not asked for").into());
        }
        let framing = match answer.framing {
            Framing::Length(_) if !way.standins.keeps_length => Framing::Chunked,
            framing => framing,
        };
        *answered = true;
        to.send(&shown(way, &answer, framing)).await.map_err(of_client)?;
        if is_upgraded {
            return Ok(After::Upgraded);
        }
        let body = Body::new(answer.framing, way.limits.head);
        tokio::select! {
            biased;
            stop = &mut upload => return Err(stop),
            done = download(way, body, framing, (from, to)) => done?,
        }
        let stays = sent.load(Ordering::Relaxed) && !request.closes && !answer.closes;
        let next = if stays && framing != Framing::ToEnd { Next::Keep } else { Next::Close };
        Ok(After::Answered(next))
    }
}

/// Forwards a response body without secret values.
async fn download(
    way: &Way<'_>,
    mut body: Body,
    framing: Framing,
    (from, to): (&mut Source, &mut Sink),
) -> Result<(), StandinError> {
    let (mut sieve, mut clean, mut out) = (Sieve::default(), Vec::new(), Vec::new());
    loop {
        let next = body.next(from, way.limits.host).await;
        let piece = next.map_err(|fault| of_host(way, fault))?;
        let end = if piece.is_none() { End::Here } else { End::Later };
        sift(way, &mut sieve, (&piece.unwrap_or_default(), end), &mut clean);
        body::write(framing, &clean, &mut out);
        clean.clear();
        if end == End::Here {
            let trailers = cleaned(way, std::mem::take(&mut body.trailers));
            body::end(framing, &trailers, &mut out);
        }
        to.send(&out).await.map_err(of_client)?;
        out.clear();
        if end == End::Here {
            return Ok(());
        }
    }
}

fn sift(way: &Way<'_>, sieve: &mut Sieve, piece: (&[u8], End), out: &mut Vec<u8>) {
    let passed = sieve.push(&way.standins.echoes, piece, out, |number, out| {
        out.extend_from_slice(way.standins.back(number));
        Ok::<(), std::convert::Infallible>(())
    });
    match passed {
        Ok(()) => {}
    }
}

fn without(way: &Way<'_>, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sift(way, &mut Sieve::default(), (text, End::Here), &mut out);
    out
}

fn cleaned(way: &Way<'_>, lines: Vec<HeaderLine>) -> Vec<HeaderLine> {
    let clean = |line: HeaderLine| HeaderLine { value: without(way, &line.value), ..line };
    lines.into_iter().map(clean).collect()
}

/// The response head for the program, with a body of this framing.
fn shown(way: &Way<'_>, answer: &Answer, framing: Framing) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(without(way, &answer.first));
    out.extend_from_slice(b"\r\n");
    let is_changed = framing != answer.framing;
    let stay = answer.lines.iter().filter(|line| !(is_changed && line.is("content-length")));
    let mut lines: Vec<HeaderLine> = stay
        .map(|line| HeaderLine { name: line.name.clone(), value: without(way, &line.value) })
        .collect();
    if is_changed {
        lines.push(HeaderLine { name: "transfer-encoding".to_owned(), value: b"chunked".to_vec() });
    }
    head::write(&lines, &mut out);
    out
}

fn unclear(way: &Way<'_>, why: &'static str) -> StandinError {
    StandinError::Answer { host: way.host.to_owned(), why }
}

fn of_client(fault: Fault) -> StandinError {
    match fault {
        Fault::Gone(_) => StandinError::Gone,
        Fault::Idle(limit) => StandinError::Idle { limit },
        Fault::Unclear(why) => StandinError::Unclear(why),
        Fault::TooLong => StandinError::TooLong,
    }
}

fn of_host(way: &Way<'_>, fault: Fault) -> StandinError {
    let away = |detail| StandinError::Away { host: way.host.to_owned(), detail };
    match fault {
        Fault::Gone(detail) => away(detail),
        Fault::Idle(limit) => away(format!("it was silent for {} s", limit.as_secs())),
        Fault::Unclear(why) => unclear(way, why),
        Fault::TooLong => unclear(way, "its head is too long"),
    }
}
