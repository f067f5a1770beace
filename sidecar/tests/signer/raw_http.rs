//! An HTTP/1.1 client that writes its bytes itself, over any stream: for requests that a well-behaved client cannot send.

use crate::process::Answer;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::time::Duration;
use tezos_signer_core::config::KeyConfig;

/// Longer than any time-out of the signer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// One connection.
pub(crate) struct RawConnection<S> {
    pub(crate) stream: S,
    /// Read already, and of the next answer.
    unread: Vec<u8>,
}

/// An answer with its headers.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    answer: Answer,
    headers: Vec<(String, String)>,
}

impl Deref for RawAnswer {
    type Target = Answer;
    fn deref(&self) -> &Answer {
        &self.answer
    }
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Where a signature with `key` is asked for.
pub(crate) fn sign_path(key: &KeyConfig) -> String {
    format!("/keys/{}", key.hash())
}

/// A request with a hexadecimal JSON string.
pub(crate) fn post(path: &str, hex: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n\"{hex}\"", hex.len() + 2)
}

impl RawConnection<TcpStream> {
    pub(crate) fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Self::over(stream)
    }
}

impl<S: Read + Write> RawConnection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    pub(crate) fn get(&mut self, path: &str) -> RawAnswer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
        self.answer()
    }

    pub(crate) fn sign(&mut self, key: &KeyConfig, payload: &[u8]) -> RawAnswer {
        self.send(post(&sign_path(key), &hex::encode(payload)));
        self.answer()
    }

    /// Reads one whole answer; there must be one.
    pub(crate) fn answer(&mut self) -> RawAnswer {
        self.try_answer().unwrap()
    }

    /// Like [`RawConnection::answer`]; an error also where the connection ended first.
    pub(crate) fn try_answer(&mut self) -> std::io::Result<RawAnswer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            self.read_more()?;
        };
        let head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let length =
            headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, length)| length.parse().unwrap());
        while self.unread.len() < length {
            self.read_more()?;
        }
        let body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        Ok(RawAnswer { answer: Answer { status, body }, headers })
    }

    /// Whether the signer closes the connection, and says nothing more. Waits for it.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.read_more().is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof)
    }

    fn read_more(&mut self) -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            read => {
                self.unread.extend_from_slice(&bytes[..read]);
                Ok(())
            }
        }
    }
}
