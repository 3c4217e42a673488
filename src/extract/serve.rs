//! Protocol between the program and the child process that reads a file.
//!
//! A request is one line of JSON followed by the bytes of the file. The response is one JSON document. Starting,
//! jailing and ending the child is not done here.
//! started, jailed and ended elsewhere.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::{Extracted, Limits, Refused, Source, extract};

/// Longest first line, in bytes.
const HEADER: u64 = 16 << 10;
/// Most bytes per character in JSON.
const LETTER: usize = 6;
/// Bytes of a response besides its text.
const AROUND: usize = 1 << 20;

/// The first line of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the file.
    pub name: String,
    /// Label of the encoding that a person chose.
    pub encoding: Option<String>,
    pub limits: Limits,
}

impl Request {
    /// Sends the request and the file.
    ///
    /// # Errors
    /// If the child does not accept it.
    pub fn send(&self, bytes: &[u8], mut output: impl Write) -> io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.write_all(bytes)?;
        output.flush()
    }

    fn receive(input: impl Read) -> io::Result<(Self, Vec<u8>)> {
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        input.by_ref().take(HEADER).read_until(b'\n', &mut line)?;
        let request: Self = serde_json::from_slice(&line)?;
        let mut bytes = Vec::new();
        // One byte more than permitted, so that a larger file is rejected instead of cut.
        input.take(request.limits.input as u64 + 1).read_to_end(&mut bytes)?;
        Ok((request, bytes))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Extracted(Extracted),
    Refused(Refused),
}

impl Answer {
    /// Largest response in bytes within these limits; longer responses need not be read.
    pub fn longest(limits: &Limits) -> usize {
        limits.chars.saturating_mul(LETTER).saturating_add(AROUND)
    }

    /// Parses the child's response. A malicious file may control the child, so the response is checked against the
    /// limits.
    ///
    /// # Errors
    /// If the file was refused, or the response is invalid.
    pub fn receive(bytes: &[u8], limits: &Limits) -> Result<Extracted, Refused> {
        if bytes.len() > Self::longest(limits) {
            return Err(Refused::NoAnswer);
        }
        match serde_json::from_slice(bytes) {
            Ok(Self::Extracted(found)) => {
                let chars: usize = found.parts.iter().map(|part| part.text.chars().count()).sum();
                if chars > limits.chars { Err(Refused::NoAnswer) } else { Ok(found) }
            }
            Ok(Self::Refused(why)) => Err(why),
            Err(_) => Err(Refused::NoAnswer),
        }
    }
}

/// Serves one request; the body of the child process.
///
/// # Errors
/// If the request cannot be read or the response not written.
pub fn serve(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let (request, bytes) = Request::receive(input)?;
    let source = Source { name: &request.name, encoding: request.encoding.as_deref() };
    let answer = match extract(&bytes, source, &request.limits) {
        Ok(found) => Answer::Extracted(found),
        Err(why) => Answer::Refused(why),
    };
    serde_json::to_writer(&mut output, &answer)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Limits, Refused, Request, serve};

    fn ask(bytes: &[u8], limits: Limits) -> Vec<u8> {
        let (mut request_bytes, mut response) = (Vec::new(), Vec::new());
        let request = Request { name: "Grüße\n.txt".to_owned(), encoding: None, limits };
        request.send(bytes, &mut request_bytes).expect("memory takes it");
        serve(request_bytes.as_slice(), &mut response).expect("an answer");
        response
    }

    #[test]
    fn a_request_is_answered() {
        let limits = Limits::default();
        let found = Answer::receive(&ask(b"{\"a\"}\nb\n", limits), &limits).expect("a text");
        assert_eq!(found.parts[0].text, "{\"a\"}\nb\n");
        let small = Limits { input: 3, ..limits };
        assert_eq!(Answer::receive(&ask(b"abcd", small), &small), Err(Refused::TooLarge));
        assert!(serve(&b"no request"[..], Vec::new()).is_err());
    }

    #[test]
    fn what_no_child_would_say_is_not_believed() {
        let limits = Limits::default();
        let response = ask(b"much too long", limits);
        let small = Limits { chars: 4, ..limits };
        for response in
            [&response[..], b"", b"null", b"{\"extracted\":{}}", &response[..response.len() - 1]]
        {
            assert_eq!(Answer::receive(response, &small), Err(Refused::NoAnswer));
        }
        let huge = vec![b' '; Answer::longest(&small) + 1];
        assert_eq!(Answer::receive(&huge, &small), Err(Refused::NoAnswer));
    }
}
