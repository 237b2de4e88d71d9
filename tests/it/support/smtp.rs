//! A mail server on the loopback: it speaks SMTP with STARTTLS, TLS and AUTH,
//! keeps what it takes, and misbehaves as it is told.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    None,
    Offered,
    Wrapped,
}

/// What is done instead of what a mail server would do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Then {
    Say(&'static str),
    /// The same, a moment later.
    SaySlowly(&'static str),
    /// The connection ends.
    Drop,
    /// The mail is kept, and the connection ends before it is said.
    KeepAndDrop,
    /// No answer, ever.
    Silence,
}

/// A moment in a conversation: `CONNECT`, a command line as it came, `MIDDLE`
/// or `END` of a mail to somebody (`END a@example.com`), and how often
/// something else is done then.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) at: &'static str,
    pub(crate) times: usize,
    pub(crate) then: Then,
}

/// How a server behaves.
#[derive(Debug, Clone)]
pub(crate) struct Manners {
    pub(crate) tls: Tls,
    pub(crate) login: Option<(&'static str, &'static str)>,
    pub(crate) mechanisms: &'static str,
    pub(crate) faults: Vec<Fault>,
}

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) eml: Vec<u8>,
    pub(crate) is_encrypted: bool,
    pub(crate) user: Option<String>,
    /// The number of the connection that it came by.
    pub(crate) connection: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self { tls: Tls::None, login: None, mechanisms: "PLAIN LOGIN", faults: Vec::new() }
    }
}

impl Manners {
    pub(crate) fn with(mut self, at: &'static str, times: usize, then: Then) -> Self {
        self.faults.push(Fault { at, times, then });
        self
    }
}

/// What all connections share.
#[derive(Debug, Default)]
struct Kept {
    received: Vec<Received>,
    /// Every line that came, credentials included.
    lines: Vec<String>,
    connections: usize,
}

/// A running server; it ends with the test.
#[derive(Debug)]
pub(crate) struct SmtpServer {
    pub(crate) port: u16,
    /// Its certificate, which signs itself.
    pub(crate) certificate: String,
    kept: Arc<Mutex<Kept>>,
    faults: Arc<Mutex<Vec<Fault>>>,
}

impl SmtpServer {
    pub(crate) fn start(manners: Manners) -> Self {
        Self::named(manners, "127.0.0.1")
    }

    /// With a certificate for this name.
    pub(crate) fn named(manners: Manners, name: &str) -> Self {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = Arc::new(tls.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Mutex::new(manners.faults.clone()));
        let server = Self { port, certificate: own.cert.pem(), kept: Arc::default(), faults: Arc::clone(&faults) };
        let kept = Arc::clone(&server.kept);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (manners, kept, faults, tls) =
                    (manners.clone(), Arc::clone(&kept), Arc::clone(&faults), Arc::clone(&tls));
                thread::spawn(move || {
                    let connection = {
                        let mut kept = kept.lock().unwrap();
                        kept.connections += 1;
                        kept.connections
                    };
                    let talk = Talk { stream: Stream::Plain(stream), read: Vec::new(), manners, kept, faults, tls };
                    // That a client leaves in the middle is what some tests are for.
                    drop(talk.hold(connection));
                });
            }
        });
        server
    }

    /// From now on it does these things, and none that it did before.
    pub(crate) fn misbehave(&self, faults: Vec<Fault>) {
        *self.faults.lock().unwrap() = faults;
    }

    /// As if it had just been started.
    pub(crate) fn forget(&self) {
        self.misbehave(Vec::new());
        *self.kept.lock().unwrap() = Kept::default();
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.kept.lock().unwrap().received.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.kept.lock().unwrap().lines.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.kept.lock().unwrap().connections
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
    None,
}

impl Stream {
    fn io(&mut self) -> &mut dyn ReadWrite {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
            Self::None => unreachable!("a stream is being encrypted"),
        }
    }

    fn encrypt(&mut self, tls: &Arc<ServerConfig>) {
        if let Self::Plain(stream) = std::mem::replace(self, Self::None) {
            let connection = ServerConnection::new(Arc::clone(tls)).unwrap();
            *self = Self::Tls(Box::new(StreamOwned::new(connection, stream)));
        }
    }

    fn end(&mut self) {
        let stream = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &mut stream.sock,
            Self::None => return,
        };
        drop(stream.shutdown(Shutdown::Both));
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// One conversation.
struct Talk {
    stream: Stream,
    read: Vec<u8>,
    manners: Manners,
    kept: Arc<Mutex<Kept>>,
    faults: Arc<Mutex<Vec<Fault>>>,
    tls: Arc<ServerConfig>,
}

/// How long a slow server takes, and how long a silent one keeps the line.
const MOMENT: Duration = Duration::from_millis(300);
const EVER: Duration = Duration::from_mins(1);

impl Talk {
    fn hold(mut self, connection: usize) -> io::Result<()> {
        let mut mail = Received {
            from: String::new(),
            to: String::new(),
            eml: Vec::new(),
            is_encrypted: false,
            user: None,
            connection,
        };
        if self.manners.tls == Tls::Wrapped {
            self.stream.encrypt(&self.tls);
            mail.is_encrypted = true;
        }
        self.answer("CONNECT", "220 mail.test ESMTP")?;
        loop {
            let line = self.line()?;
            self.kept.lock().unwrap().lines.push(line.clone());
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => {
                    let offer = self.offer(mail.is_encrypted);
                    self.answer(&line, &offer)?;
                }
                "STARTTLS" => {
                    self.answer(&line, "220 go ahead")?;
                    self.stream.encrypt(&self.tls);
                    mail.is_encrypted = true;
                }
                "AUTH" => mail.user = self.log_in(&line)?,
                "MAIL" if self.manners.login.is_some() && mail.user.is_none() => {
                    self.answer(&line, "530 5.7.0 Authentication required")?;
                }
                "MAIL" => {
                    mail.from = between(&line);
                    self.answer(&line, "250 ok")?;
                }
                "RCPT" => {
                    mail.to = between(&line);
                    self.answer(&line, "250 ok")?;
                }
                "DATA" => {
                    if self.answer(&line, "354 go on")? {
                        mail.eml = self.content(&mail.to)?;
                        self.end_of_mail(&mail)?;
                    }
                }
                "QUIT" => {
                    self.say("221 bye")?;
                    return Ok(());
                }
                "RSET" | "NOOP" => {
                    self.answer(&line, "250 ok")?;
                }
                _ => self.say("500 what?")?,
            }
        }
    }

    fn offer(&self, is_encrypted: bool) -> String {
        let mut offer = "250-mail.test\r\n250-8BITMIME\r\n".to_owned();
        if self.manners.tls == Tls::Offered && !is_encrypted {
            offer.push_str("250-STARTTLS\r\n");
        } else if self.manners.login.is_some() {
            offer.push_str(&format!("250-AUTH {}\r\n", self.manners.mechanisms));
        }
        offer + "250 SIZE 10000000"
    }

    fn log_in(&mut self, line: &str) -> io::Result<Option<String>> {
        let Some((user, password)) = self.manners.login else { return self.say("503 no").map(|()| None) };
        let is_right = if let Some(plain) = line.strip_prefix("AUTH PLAIN ") {
            plain == base64(format!("\0{user}\0{password}").as_bytes())
        } else {
            let mut given = line.strip_prefix("AUTH LOGIN").unwrap_or_default().trim().to_owned();
            if given.is_empty() {
                self.say("334 VXNlcm5hbWU6")?;
                given = self.line()?;
            }
            self.say("334 UGFzc3dvcmQ6")?;
            let second = self.line()?;
            self.kept.lock().unwrap().lines.push(second.clone());
            given == base64(user.as_bytes()) && second == base64(password.as_bytes())
        };
        if !is_right {
            // As bad servers do: it repeats what it was sent.
            let repeated = line.rsplit(' ').next().unwrap_or_default().to_owned();
            self.answer("REFUSED LOGIN", &format!("535 5.7.8 Bad credentials {repeated}"))?;
            return Ok(None);
        }
        Ok(self.answer(line, "235 ok")?.then(|| user.to_owned()))
    }

    fn end_of_mail(&mut self, mail: &Received) -> io::Result<()> {
        let at = format!("END {}", mail.to);
        match self.fault(&at) {
            None => {
                self.kept.lock().unwrap().received.push(mail.clone());
                self.say("250 2.0.0 taken")
            }
            Some(Then::KeepAndDrop) => {
                self.kept.lock().unwrap().received.push(mail.clone());
                self.drop_it()
            }
            Some(Then::SaySlowly(text)) if text.starts_with('2') => {
                thread::sleep(MOMENT);
                self.kept.lock().unwrap().received.push(mail.clone());
                self.say(text)
            }
            Some(then) => self.misbehave(then).map(drop),
        }
    }

    /// Says this, or what a fault says instead; whether it was positive.
    fn answer(&mut self, at: &str, usual: &str) -> io::Result<bool> {
        match self.fault(at) {
            None => self.say(usual).map(|()| !usual.starts_with(['4', '5'])),
            Some(then) => self.misbehave(then),
        }
    }

    fn misbehave(&mut self, then: Then) -> io::Result<bool> {
        match then {
            Then::Say(text) => self.say(text).map(|()| !text.starts_with(['4', '5'])),
            Then::SaySlowly(text) => {
                thread::sleep(MOMENT);
                self.say(text).map(|()| !text.starts_with(['4', '5']))
            }
            Then::Drop | Then::KeepAndDrop => self.drop_it().map(|()| false),
            Then::Silence => {
                thread::sleep(EVER);
                self.drop_it().map(|()| false)
            }
        }
    }

    fn drop_it(&mut self) -> io::Result<()> {
        self.stream.end();
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    fn fault(&self, at: &str) -> Option<Then> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| fault.times > 0 && at.starts_with(fault.at))?;
        fault.times -= 1;
        Some(fault.then)
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        let io = self.stream.io();
        io.write_all(format!("{text}\r\n").as_bytes())?;
        io.flush()
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.read[..end]).into_owned();
                self.read.drain(..end + 2);
                return Ok(line);
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        let count = self.stream.io().read(&mut bytes)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read.extend_from_slice(&bytes[..count]);
        Ok(())
    }

    /// What stands between DATA and the lone dot.
    fn content(&mut self, to: &str) -> io::Result<Vec<u8>> {
        let mut content: Vec<u8> = Vec::new();
        loop {
            let line = self.line()?;
            if line == "." {
                return Ok(content);
            }
            content.extend_from_slice(line.strip_prefix('.').unwrap_or(&line).as_bytes());
            content.extend_from_slice(b"\r\n");
            if content.len() > 200
                && let Some(then) = self.fault(&format!("MIDDLE {to}"))
            {
                self.misbehave(then)?;
            }
        }
    }
}

/// The address in `<…>`.
fn between(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * at) & 63]);
            out.push(if at <= three.len() { letter } else { '=' });
        }
    }
    out
}
