//! A provider on the loopback: it speaks HTTP, or HTTPS with a certificate that
//! signs itself, answers as a service says, misbehaves as it is told, and
//! remembers what it was asked. The shapes of real providers' answers are beside
//! it, one file per kind.

pub(crate) mod requests;
pub(crate) mod totals;

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rcgen::{CertificateParams, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names and values, decoded.
    pub(crate) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    /// The value of a parameter; empty where it is not there.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// What is answered, and how it travels.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) how: How,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Whole,
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// In so many pieces, with a pause after each.
    Slowly(usize, Duration),
    /// The connection ends without an answer.
    Drop,
    /// No answer, ever.
    Silence,
}

impl Reply {
    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { status, headers, body: body.into(), how: How::Whole }
    }

    /// With this header, in the place of one of that name.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn travels(self, how: How) -> Self {
        Self { how, ..self }
    }
}

/// What is answered to which request.
type Service = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// Something that is answered instead, so many times.
struct Fault {
    matches: Box<dyn Fn(&Asked) -> bool + Send>,
    times: usize,
    reply: Reply,
}

/// What all connections share.
#[derive(Default)]
struct Kept {
    asked: Vec<Asked>,
    faults: Vec<Fault>,
    /// A header that every request must have, and its value.
    wanted: Option<(&'static str, String)>,
}

/// A running server; it ends with the test.
pub(crate) struct Provider {
    pub(crate) port: u16,
    /// Its certificate, which signs itself; empty without encryption.
    pub(crate) certificate: String,
    kept: Arc<Mutex<Kept>>,
}

impl Provider {
    pub(crate) fn start(service: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(Arc::new(service), None, String::new())
    }

    /// Speaks HTTPS, with a certificate for this name.
    pub(crate) fn encrypted(name: &str, service: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::encrypted_as(IsCa::NoCa, name, service)
    }

    /// The same; its certificate can be one of an authority.
    pub(crate) fn encrypted_as(
        is_ca: IsCa,
        name: &str,
        service: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let signing_key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.is_ca = is_ca;
        let cert = parameters.self_signed(&signing_key).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        Self::listen(Arc::new(service), Some(Arc::new(tls)), cert.pem())
    }

    fn listen(service: Service, tls: Option<Arc<ServerConfig>>, certificate: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider =
            Self { port: listener.local_addr().unwrap().port(), certificate, kept: Arc::new(Mutex::default()) };
        let kept = Arc::clone(&provider.kept);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (service, kept, tls) = (Arc::clone(&service), Arc::clone(&kept), tls.clone());
                thread::spawn(move || {
                    let socket = stream.try_clone().unwrap();
                    let stream: Box<dyn ReadWrite> = match tls {
                        Some(tls) => Box::new(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream)),
                        None => Box::new(stream),
                    };
                    // That a client leaves in the middle is what some tests are for.
                    drop(Connection { stream, socket, read: Vec::new() }.hold(&service, &kept));
                });
            }
        });
        provider
    }

    /// Its address, for a config.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.certificate.is_empty() { "http" } else { "https" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// From now on, answers 401 to requests without this header.
    pub(crate) fn wants(&self, name: &'static str, value: &str) {
        self.kept.lock().unwrap().wanted = Some((name, value.to_owned()));
    }

    /// The next so many requests get this answer.
    pub(crate) fn answer_next(&self, times: usize, reply: &Reply) {
        self.answer_where(times, reply, |_| true);
    }

    /// The next so many requests of this kind get this answer.
    pub(crate) fn answer_where(&self, times: usize, reply: &Reply, matches: impl Fn(&Asked) -> bool + Send + 'static) {
        let fault = Fault { matches: Box::new(matches), times, reply: reply.clone() };
        self.kept.lock().unwrap().faults.push(fault);
    }

    /// Behaves again.
    pub(crate) fn recover(&self) {
        self.kept.lock().unwrap().faults.clear();
    }

    /// What it was asked since the last time that this was called.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.kept.lock().unwrap().asked)
    }
}

/// How a client begins that takes this server for one that encrypts.
const TLS_HANDSHAKE: u8 = 22;

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

struct Connection {
    stream: Box<dyn ReadWrite>,
    socket: TcpStream,
    /// What has come and was not looked at yet.
    read: Vec<u8>,
}

impl Connection {
    fn hold(mut self, service: &Service, kept: &Mutex<Kept>) -> io::Result<()> {
        while let Some(asked) = self.request()? {
            let reply = {
                let mut kept = kept.lock().unwrap();
                kept.asked.push(asked.clone());
                let fault = kept.faults.iter_mut().find(|fault| fault.times > 0 && (fault.matches)(&asked));
                match fault {
                    Some(fault) => {
                        fault.times -= 1;
                        Some(fault.reply.clone())
                    }
                    None => kept
                        .wanted
                        .as_ref()
                        .filter(|(name, value)| asked.header(name) != value)
                        .map(|_| Reply::status(401, r#"{"error":{"message":"Invalid API key","code":"invalid"}}"#)),
                }
            };
            let reply = reply.unwrap_or_else(|| service(&asked));
            if !self.answer(&reply)? {
                self.stream.flush()?;
                return self.socket.shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }

    /// The next request; none where the client is done.
    fn request(&mut self) -> io::Result<Option<Asked>> {
        const END: &[u8] = b"\r\n\r\n";
        let end = loop {
            if let Some(at) = self.read.windows(END.len()).position(|window| window == END) {
                break at;
            }
            let mut more = [0; 4096];
            let count = self.stream.read(&mut more)?;
            if count == 0 {
                return Ok(None);
            }
            self.read.extend_from_slice(&more[..count]);
            if self.read[0] == TLS_HANDSHAKE {
                self.stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?;
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + END.len());
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Ok(Some(Asked {
            method: method.to_owned(),
            path: decoded(path),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect(),
            headers: lines.filter_map(header).collect(),
        }))
    }

    /// Whether the connection goes on.
    fn answer(&mut self, reply: &Reply) -> io::Result<bool> {
        match reply.how {
            How::Drop => return Ok(false),
            How::Silence => {
                // Until the client gives up.
                let mut more = [0; 64];
                while self.stream.read(&mut more)? > 0 {}
                return Ok(false);
            }
            How::Whole | How::CutAfter(_) | How::Slowly(..) => {}
        }
        let mut head = format!("HTTP/1.1 {} Told\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.stream.write_all(format!("{head}\r\n").as_bytes())?;
        match reply.how {
            How::CutAfter(bytes) => {
                self.stream.write_all(&reply.body[..bytes.min(reply.body.len())])?;
                return Ok(false);
            }
            How::Slowly(pieces, pause) => {
                for piece in reply.body.chunks(reply.body.len().div_ceil(pieces).max(1)) {
                    self.stream.write_all(piece)?;
                    self.stream.flush()?;
                    thread::sleep(pause);
                }
            }
            _ => self.stream.write_all(&reply.body)?,
        }
        self.stream.flush()?;
        Ok(true)
    }
}

/// A part of an address, without its `%20` and `+`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            _ => bytes.push(first),
        }
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
