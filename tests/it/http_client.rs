//! The client of every source over HTTP, against a server that misbehaves.

use std::{fs, time::Duration};

use rcgen::{BasicConstraints, IsCa};
use spendbook::{
    config::SecretFrom,
    http::{Client, Credential, Fault, HttpError, Patience, Request, Settings, Url},
};

use crate::support::provider::{How, Provider, Reply};

const TOKEN: &str = "sk-C4naryCanaryCanaryCanary0123456789";

/// Waits that are no waste of time, and time enough for a busy machine.
fn settings() -> Settings {
    Settings {
        patience: Patience { tries: 3, total: Duration::from_mins(1), first: Duration::from_millis(2) },
        ..Settings::of_timeout(Duration::from_secs(30))
    }
}

fn bearer() -> Credential {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), TOKEN).unwrap();
    Credential::Bearer(SecretFrom::File("token".into()).read(dir.path()).unwrap())
}

fn ask(url: &str, settings: Settings) -> Result<String, HttpError> {
    let credential = bearer();
    let request = Request {
        url: Url::parse(url).unwrap(),
        query: vec![("page", "2".to_owned()), ("key", TOKEN.to_owned())],
        headers: vec![("x-version", "1".to_owned())],
        credential: &credential,
    };
    let client = Client::new(settings).unwrap();
    let shown = format!("{client:?} {request:?}");
    // The query is the caller's own; everything else is safe to print.
    assert!(!shown.replace(&format!("(\"key\", \"{TOKEN}\")"), "").contains("C4nary"), "{shown}");
    let answer = client.get(&request).map(|answer| String::from_utf8(answer.body).unwrap());
    if let Err(error) = &answer {
        let said = format!("{error:?} {}", error.with_advice());
        assert!(!said.contains("C4nary") && !said.contains("page=2"), "{said}");
    }
    answer
}

fn with(reply: &Reply) -> (Provider, Result<String, HttpError>) {
    let provider = Provider::start(|_| Reply::json("[1]"));
    provider.answer_next(99, reply);
    let answer = ask(&format!("{}/spend/logs", provider.url()), settings());
    (provider, answer)
}

#[test]
fn a_request_says_who_asks_and_for_what() {
    let provider = Provider::start(|_| Reply::json("{\"data\": []}"));
    provider.wants("authorization", &format!("Bearer {TOKEN}"));
    assert_eq!(ask(&format!("{}/a", provider.url()), settings()).unwrap(), "{\"data\": []}");
    let asked = provider.take_asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str(), asked.parameter("page")), ("GET", "/a", "2"));
    assert_eq!((asked.header("x-version"), asked.header("accept")), ("1", "application/json"));
    assert!(asked.header("user-agent").starts_with("spendbook/"), "{asked:?}");
}

#[test]
fn what_passes_is_asked_again() {
    let passing = [
        Reply::status(429, "{}").with("Retry-After", "0"),
        Reply::status(500, "oh").with("Content-Type", "text/html"),
        Reply::json("[1,2,3]").travels(How::CutAfter(4)),
        Reply::json("[]").travels(How::Drop),
        Reply::json(" "),
    ];
    for reply in passing {
        let provider = Provider::start(|_| Reply::json("[1]"));
        provider.answer_next(2, &reply);
        assert_eq!(ask(&provider.url(), settings()).unwrap(), "[1]", "{reply:?}");
        assert_eq!(provider.take_asked().len(), 3);
    }
}

/// What was said, with the port of this test's server taken out.
fn check(reply: &Reply, tries: usize, expect: &str) {
    let (provider, answer) = with(reply);
    let said = answer.unwrap_err().with_advice().replace(&provider.port.to_string(), "1");
    assert_eq!(said, expect, "{reply:?}");
    assert_eq!(provider.take_asked().len(), tries, "{reply:?}");
}

#[test]
fn errors_say_where_what_and_what_to_do() {
    let said = format!(r#"{{"error":{{"message":"no: {TOKEN} of Bearer {TOKEN}"}}}}"#);
    check(
        &Reply::status(401, said),
        1,
        "`http://127.0.0.1:1/spend/logs` refused the credential (401): it says \"no: … of Bearer …\": check `token_env` or `token_file`: the token may be wrong, expired or revoked",
    );
    check(
        &Reply::status(403, "{}"),
        1,
        "`http://127.0.0.1:1/spend/logs` does not let this credential read it (403): use a token that may read usage: many providers want an admin's for this",
    );
    check(
        &Reply::status(404, "<html>"),
        1,
        "`http://127.0.0.1:1/spend/logs` is not there (404): check `url`, and the names in it: an account, a gateway, a version",
    );
    check(
        &Reply::status(429, "{}").with("Retry-After", "3600"),
        1,
        "`http://127.0.0.1:1/spend/logs` wants fewer requests (429), again in 3600 s: it should pass: the next run asks again for what is missing",
    );
    check(
        &Reply::status(429, "{}"),
        3,
        "`http://127.0.0.1:1/spend/logs` wants fewer requests (429), without saying when, after 3 tries: it should pass: the next run asks again for what is missing",
    );
    check(
        &Reply::status(502, "{}"),
        3,
        "`http://127.0.0.1:1/spend/logs` failed with 502, after 3 tries: it should pass: the next run asks again; else look at the provider's status page",
    );
    check(
        &Reply::status(307, "").with("Location", "/elsewhere?secret=1"),
        1,
        "`http://127.0.0.1:1/spend/logs` moved (307), to `http://127.0.0.1:1/elsewhere`: write the address it moved to in `url`: credentials do not follow by themselves",
    );
    check(
        &Reply::json("<html>").with("Content-Type", "text/html; charset=utf-8"),
        1,
        "`http://127.0.0.1:1/spend/logs` gave an answer of `text/html`, expected JSON: check `url`: a page for people (a login, a proxy's message) answers in its place",
    );
    check(
        &Reply::json(""),
        3,
        "`http://127.0.0.1:1/spend/logs` gave an empty answer (200), expected JSON, after 3 tries: look into the log of the server, or of what stands between; the next run asks again",
    );
    check(
        &Reply::status(422, "{\"detail\":\"bad page\"}"),
        1,
        "`http://127.0.0.1:1/spend/logs` refused the request with 422: it says \"bad page\": its answer says why; check `url` and the source's other keys",
    );
}

#[test]
fn an_answer_is_taken_whole_and_in_time_or_not_at_all() {
    let (_provider, cut) = with(&Reply::json("[1,2,3]").travels(How::CutAfter(4)));
    assert!(matches!(cut.unwrap_err().fault.last(), Fault::CutOff(_)));

    let provider = Provider::start(|_| Reply::json(format!("[{}1]", " ".repeat(4000))));
    let small = Settings { largest: 4000, ..settings() };
    assert!(matches!(ask(&provider.url(), small).unwrap_err().fault, Fault::TooLarge { limit: 4000 }));
    assert!(ask(&provider.url(), Settings { largest: 4003, ..settings() }).is_ok());

    for how in [How::Silence, How::Slowly(7, Duration::from_millis(400))] {
        let provider = Provider::start(move |_| Reply::json("[1,2,3]").travels(how));
        let short = Settings { timeout: Duration::from_millis(300), ..settings() };
        let fault = ask(&provider.url(), short).unwrap_err().fault;
        assert_eq!(fault.to_string(), "gave no whole answer in 0.3 s, after 3 tries");
    }
    let slow = Provider::start(|_| Reply::json("[1,2,3]").travels(How::Slowly(3, Duration::from_millis(5))));
    assert_eq!(ask(&slow.url(), settings()).unwrap(), "[1,2,3]");
}

#[test]
fn a_server_is_reached_and_trusted_or_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let fault = ask(&format!("http://127.0.0.1:{nobody}"), settings()).unwrap_err().fault;
    assert!(matches!(fault.last(), Fault::Unreachable(cause) if cause.contains("refused")), "{fault}");
    let fault = ask("http://no-such-host.invalid", settings()).unwrap_err().fault;
    assert!(matches!(fault.last(), Fault::Unreachable(_)), "{fault}");

    let provider = Provider::encrypted("127.0.0.1", |_| Reply::json("[1]"));
    let fault = ask(&provider.url(), settings()).unwrap_err().fault;
    assert_eq!(fault, Fault::Untrusted("nobody who is trusted here has signed it".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    fs::write(&ca_file, &provider.certificate).unwrap();
    let trusting = Settings { ca_file: Some(ca_file.clone()), ..settings() };
    assert_eq!(ask(&provider.url(), trusting.clone()).unwrap(), "[1]");
    let other = Provider::encrypted("other.example.com", |_| Reply::json("[1]"));
    fs::write(&ca_file, &other.certificate).unwrap();
    let fault = ask(&other.url(), trusting.clone()).unwrap_err().fault;
    assert_eq!(fault, Fault::Untrusted("it is for another name".to_owned()));
    // As `openssl req -x509` makes one, which nothing makes trusted.
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = Provider::encrypted_as(authority, "127.0.0.1", |_| Reply::json("[1]"));
    fs::write(&ca_file, &authority.certificate).unwrap();
    for settings in [settings(), trusting.clone()] {
        let fault = ask(&authority.url(), settings).unwrap_err().fault;
        let is_told = matches!(&fault, Fault::Untrusted(cause) if cause.starts_with("it is one of an authority, "));
        assert!(is_told, "{fault}");
    }
    let plain = Provider::start(|_| Reply::json("[1]"));
    let fault = ask(&plain.url().replace("http:", "https:"), settings()).unwrap_err().fault;
    assert!(matches!(fault.last(), Fault::NoTls(_)), "{fault:?}");

    for (pem, expect) in [(None, "No such file"), (Some("nothing"), "no certificate is in it")] {
        fs::remove_file(&ca_file).unwrap_or_default();
        if let Some(pem) = pem {
            fs::write(&ca_file, pem).unwrap();
        }
        let said = Client::new(trusting.clone()).unwrap_err().to_string();
        assert!(said.contains(expect) && said.contains("`ca_file`"), "{said}");
    }
}

#[test]
fn only_so_many_requests_are_under_way_at_the_same_time() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let provider = Provider::start(|_| {
        MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        NOW.fetch_sub(1, Ordering::SeqCst);
        Reply::json("[1]")
    });
    let client = Client::new(Settings { at_once: 2, ..settings() }).unwrap();
    let url = Url::parse(&provider.url()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (query, headers) = (Vec::new(), Vec::new());
                client.get(&Request { url: url.clone(), query, headers, credential: &Credential::None }).unwrap();
            });
        }
    });
    assert_eq!(provider.take_asked().len(), 8);
    assert!(MOST.load(Ordering::SeqCst) <= 2);
}

/// Groq's answer to those who look for a usage endpoint: there is none.
#[test]
fn a_missing_usage_endpoint_is_explained() {
    let body = r#"{"error":{"message":"Unknown request URL: GET /openai/v1/usage. Please check the URL for typos, or see the docs at https://console.groq.com/docs/","type":"invalid_request_error","code":"unknown_url"}}"#;
    let (_provider, answer) = with(&Reply::status(404, body));
    let mut error = answer.unwrap_err();
    assert!(error.to_string().contains("is not there (404): it says \"Unknown request URL: GET /openai/v1/usage."));
    error.place = "https://api.groq.com/openai/v1/usage".to_owned();
    assert!(error.advice().starts_with("Groq has no usage endpoint"), "{}", error.advice());
}
