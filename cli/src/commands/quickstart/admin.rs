//! The door through which a second command reaches a running quickstart: kill a datanode, start it again.
//!
//! Shape   a loopback port; its address and a token lie in the data folder, for the folder's owner alone. One line asks, what
//!         comes back until the end answers: a first line `ok` or `error`, then the text.
//! Errors  a line without the token, or one that is no request, is answered with an error; a client that says nothing is
//!         dropped.
//!
//! asked     | TOKEN kill 3 \n
//! answered  | ok \n | datanode 3 is gone … \n

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::roles::Failure;

/// The file in the data folder: `ADDRESS TOKEN`.
const FILE: &str = "admin";
/// The longest line that asks, in bytes.
const ASKED_MAX: u64 = 256;
/// How long a client may take to ask.
const ASK_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a client waits for the answer: a datanode's start included.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// Requests that may wait at once.
const WAITING_MAX: usize = 8;

/// What a second command asks of a running quickstart. Datanodes count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Kill(usize),
    Start(usize),
}

impl Request {
    fn parse(text: &str) -> Option<Request> {
        let mut words = text.split_whitespace();
        let request = match words.next()? {
            "kill" => Request::Kill(words.next()?.parse().ok()?),
            "start" => Request::Start(words.next()?.parse().ok()?),
            _ => return None,
        };
        words.next().is_none().then_some(request)
    }

    fn text(self) -> String {
        match self {
            Request::Kill(number) => format!("kill {number}"),
            Request::Start(number) => format!("start {number}"),
        }
    }
}

/// A request with the way back.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Result<String, String>>,
}

/// The open door. Dropping it closes the port and removes the file.
pub(super) struct Door {
    file: PathBuf,
    serving: tokio::task::JoinHandle<()>,
    pub(super) asked: mpsc::Receiver<Asked>,
}

impl Door {
    /// Opens it for the quickstart that holds `dir`.
    pub(super) async fn open(dir: &Path) -> Result<Door, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        let file = dir.join(FILE);
        // Of a quickstart that was killed.
        let _ = std::fs::remove_file(&file);
        let mut written = File::options().write(true).create_new(true).mode(0o600).open(&file)?;
        writeln!(written, "{} {token}", listener.local_addr()?)?;
        let (ask, asked) = mpsc::channel(WAITING_MAX);
        let serving = tokio::spawn(serve(listener, token, ask));
        Ok(Door { file, serving, asked })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = std::fs::remove_file(&self.file);
    }
}

async fn serve(listener: TcpListener, token: String, ask: mpsc::Sender<Asked>) {
    loop {
        // One after the other: whoever asks holds the data folder's token.
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let answer = match timeout(ASK_WAIT_MAX, read_line(&mut stream)).await {
            Ok(Some(line)) => answer(&line, &token, &ask).await,
            _ => Err("no request came".to_owned()),
        };
        let text = match answer {
            Ok(text) => format!("ok\n{text}\n"),
            Err(text) => format!("error\n{text}\n"),
        };
        // One who has left wants no answer.
        let _ = timeout(ASK_WAIT_MAX, stream.write_all(text.as_bytes())).await;
    }
}

/// A line of at most [`ASKED_MAX`] bytes; `None` if none comes.
async fn read_line(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut limited = stream.take(ASKED_MAX);
    loop {
        let byte = limited.read_u8().await.ok()?;
        if byte == b'\n' {
            return String::from_utf8(line).ok();
        }
        line.push(byte);
    }
}

async fn answer(line: &str, token: &str, ask: &mpsc::Sender<Asked>) -> Result<String, String> {
    let (given, request) = line.split_once(' ').unwrap_or((line, ""));
    if given != token {
        return Err("the token is not that of this quickstart's data folder".to_owned());
    }
    let request = Request::parse(request).ok_or("this is no request: kill N or start N")?;
    let (answer, answered) = oneshot::channel();
    let ending = || "the quickstart is ending".to_owned();
    ask.send(Asked { request, answer }).await.map_err(|_| ending())?;
    answered.await.unwrap_or_else(|_| Err(ending()))
}

/// Asks the quickstart that holds `dir`; its answer.
pub(super) fn ask(dir: &Path, request: Request) -> Result<String, Failure> {
    let file = dir.join(FILE);
    let nobody = || {
        format!(
            "no quickstart runs on {}\n  try: allotrope quickstart --data DIR, or the --data DIR it was started with",
            dir.display()
        )
    };
    let text = std::fs::read_to_string(&file).map_err(|_| nobody())?;
    let (address, token) = text.trim().split_once(' ').ok_or_else(nobody)?;
    let address: SocketAddr = address.parse().map_err(|_| nobody())?;
    let mut stream = TcpStream::connect_timeout(&address, ASK_WAIT_MAX).map_err(|_| nobody())?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    writeln!(stream, "{token} {}", request.text())?;
    let mut answered = BufReader::new(stream);
    let (mut first, mut rest) = (String::new(), String::new());
    answered.read_line(&mut first)?;
    answered.read_to_string(&mut rest)?;
    let rest = rest.trim_end().to_owned();
    if first == "ok\n" { Ok(rest) } else { Err(rest.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back_as_it_was_written_and_nothing_else_is_one() {
        for request in [Request::Kill(1), Request::Start(12)] {
            assert_eq!(Request::parse(&request.text()), Some(request));
        }
        for text in ["", "kill", "kill x", "kill -1", "kill 1 2", "stop 1", "kill 99999999999999999999"] {
            assert_eq!(Request::parse(text), None, "{text}");
        }
    }
}
