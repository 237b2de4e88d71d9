//! The outbox against a real mail server, through the program: what arrives,
//! what waits, what is given up, and what is told.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Instant as Moment};

use insta::assert_snapshot;
use mail_parser::MessageParser;
use spendbook::{
    book::Book,
    config::Mailbox,
    mail::{Attachment, Message, Outbox, Sealed},
    time::Instant,
};

use crate::support::{
    Dice, NOW, Ran, TestRun, files_below,
    smtp::{Manners, Received, SmtpServer, Then, Tls},
    times,
};

const PASSWORD: &str = "correct-Horse-battery-staple-1";
const LOGIN: Option<(&str, &str)> = Some(("spendbook", PASSWORD));

fn sealed(id: &str, to: &str) -> Sealed {
    let message = Message {
        id: id.to_owned(),
        date: Instant::parse(NOW, chrono_tz::Tz::UTC).unwrap(),
        from: Mailbox::parse("Spendbook <spendbook@example.com>").unwrap(),
        to: Mailbox::parse(to).unwrap(),
        subject: format!("[{id}] 82 % — über dem Plan"),
        text: format!("Mail {id}\n.\n..two dots\n"),
        html: "<p>Über allem</p>".to_owned(),
        images: Vec::new(),
        attachments: vec![Attachment {
            file_name: "numbers.csv".to_owned(),
            content_type: "text/csv".to_owned(),
            bytes: "day,cost\n".repeat(2_000).into_bytes(),
        }],
        list: "chatbot.alerts".to_owned(),
        thread: None,
    };
    message.seal().unwrap()
}

/// A book with these mails in its outbox, and a config that has them sent.
fn outbox(server: &SmtpServer, settings: &str, mails: &[Sealed]) -> TestRun {
    with_port(server.port, settings, mails)
}

fn with_port(port: u16, settings: &str, mails: &[Sealed]) -> TestRun {
    let run = TestRun::in_memory(&config(port, settings));
    put(&run, mails);
    run
}

fn config(port: u16, settings: &str) -> String {
    let security = if settings.contains("security") { "" } else { "security = \"none\"" };
    format!(
        "[mail]\nfrom = \"Spendbook <spendbook@example.com>\"\ntransport = \"smtp\"\nhost = \"127.0.0.1\"\n\
         port = {port}\n{security}\n{settings}\n"
    )
}

fn put(run: &TestRun, mails: &[Sealed]) {
    let book = Book::open_for_writing(&run.path("book"), "the test").unwrap();
    assert_eq!(Outbox::new(&book).restore(mails).unwrap(), mails.len());
}

/// The mails in a place of the outbox.
fn held(run: &TestRun, place: &str) -> Vec<String> {
    let files = files_below(&run.path("book/outbox"));
    let names = files.keys().filter_map(|name| name.strip_prefix(place)?.strip_prefix('/')?.strip_suffix(".eml"));
    names.map(str::to_owned).collect()
}

fn three() -> Vec<Sealed> {
    ["a", "b", "c"].map(|id| sealed(id, &format!("{id}@example.com"))).to_vec()
}

/// With the port, which differs from run to run, filtered.
fn said(run: &TestRun, ran: &Ran, port: u16) -> String {
    ran.said(run).replace(&port.to_string(), "<port>")
}

fn assert_as_sealed(received: &[Received], mails: &[Sealed]) {
    for mail in mails {
        let copies: Vec<_> = received.iter().filter(|it| it.to == mail.to).collect();
        assert!(!copies.is_empty(), "{} never arrived", mail.id);
        for copy in copies {
            assert_eq!(String::from_utf8_lossy(&copy.eml).trim_end(), mail.eml.trim_end(), "{}", mail.id);
            assert_eq!(copy.from, "spendbook@example.com");
        }
    }
}

#[test]
fn mails_arrive_as_they_were_written_by_one_connection() {
    let server = SmtpServer::start(Manners::default());
    let mails = three();
    let run = outbox(&server, "", &mails);
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_snapshot!(ran.said(&run), @r#"
     mail  to             subject                   outcome  tries  next try  detail
     a     a@example.com  [a] 82 % — über dem Plan  sent         1
     b     b@example.com  [b] 82 % — über dem Plan  sent         1
     c     c@example.com  [c] 82 % — über dem Plan  sent         1

    3 sent
    "#);
    assert_as_sealed(&server.received(), &mails);
    assert_eq!((server.received().len(), server.connections()), (3, 1));
    assert_eq!(server.lines()[0], "EHLO example.com");
    let read = MessageParser::new().parse(&server.received()[0].eml).unwrap().into_owned();
    assert_eq!(read.subject(), Some("[a] 82 % — über dem Plan"));
    assert_eq!(read.message_id(), Some("a@example.com"));
    assert_eq!(read.body_text(0).unwrap(), "Mail a\r\n.\r\n..two dots\r\n");
    assert_eq!(read.attachments().next().unwrap().contents(), "day,cost\n".repeat(2_000).as_bytes());
    assert_eq!(held(&run, "sent"), ["a", "b", "c"]);
    assert_eq!(held(&run, "pending"), [""; 0]);
    // A second run has nothing to send, and connects to nobody.
    let ran = run.run(&["deliver"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "the outbox is empty\n"));
    assert_eq!(server.connections(), 1);
}

#[test]
fn the_way_is_encrypted_and_the_login_by_every_mechanism() {
    for (tls, security) in [(Tls::Offered, "starttls"), (Tls::Wrapped, "tls")] {
        for mechanisms in ["PLAIN LOGIN", "LOGIN", "PLAIN", "XOAUTH2 CRAM-MD5 PLAIN"] {
            let server = SmtpServer::start(Manners { tls, login: LOGIN, mechanisms, ..Manners::default() });
            let settings = format!(
                "security = \"{security}\"\nca_file = \"ca.pem\"\nusername = \"spendbook\"\npassword_file = \"smtp\"\n\
                 hello_name = \"books.example.org\""
            );
            let mails = three();
            let run = outbox(&server, &settings, &mails);
            run.write("ca.pem", &server.certificate);
            run.write("smtp", format!("{PASSWORD}\n"));
            let ran = run.run(&["-v", "deliver"]);
            assert_eq!(ran.code, 0, "{security} {mechanisms}: {ran:?}");
            assert_as_sealed(&server.received(), &mails);
            for mail in server.received() {
                assert!(mail.is_encrypted && mail.user.as_deref() == Some("spendbook"), "{security} {mechanisms}");
            }
            assert_eq!(server.lines()[0], "EHLO books.example.org");
            assert!(!ran.stderr.contains(PASSWORD) && !ran.stdout.contains(PASSWORD), "{ran:?}");
        }
    }
}

/// Every mail waits, and one line says why.
fn assert_waits(manners: Manners, settings: &str, expect: &str) {
    let server = SmtpServer::start(manners);
    let run = outbox(&server, settings, &three());
    run.write("smtp", PASSWORD);
    run.write("ca.pem", &server.certificate);
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let advice = ran.stderr.replace(&server.port.to_string(), "<port>");
    assert_eq!(advice.lines().count(), 1, "{ran:?}");
    assert!(advice.contains(expect), "{advice}\nexpected: {expect}");
    assert!(advice.ends_with("; 3 mails wait in the outbox\n"), "{advice}");
    assert_eq!(held(&run, "pending"), ["a", "b", "c"], "{expect}");
    assert_eq!(server.received(), []);
    let everything = format!(
        "{ran:?}{:?}",
        files_below(&run.path("book")).values().map(|it| String::from_utf8_lossy(it).into_owned()).collect::<Vec<_>>()
    );
    for secret in [PASSWORD, "AHNwZW5kYm9vaw"] {
        assert!(!everything.contains(secret), "{expect}: {everything}");
    }
}

/// What is wrong with the server makes every mail wait, and is told once, with
/// what to do. Nothing of it is a mail's fault.
#[test]
fn a_server_that_does_not_work_is_told_once_and_mails_wait() {
    let check = assert_waits;
    let login = "username = \"spendbook\"\npassword_file = \"smtp\"";
    let with_tls = |tls| Manners { tls, ..Manners::default() };
    let with_login = || Manners { login: LOGIN, ..Manners::default() };
    check(
        Manners { login: Some(("spendbook", "another")), ..Manners::default() },
        login,
        "`127.0.0.1` (port <port>) did not let `spendbook` in: 535 5.7.8 Bad credentials …: check `username` and its password",
    );
    check(Manners::default(), login, "offers no login that this program knows (PLAIN or LOGIN): many servers offer it");
    check(
        with_login(),
        "",
        "takes no mail from `spendbook@example.com`: 530 5.7.0 Authentication required: log in with",
    );
    check(
        with_login(),
        "username = \"spendbook\"\npassword_env = \"NOT_SET\"",
        "the password for `127.0.0.1` (port <port>) cannot be read: the environment variable `NOT_SET` is not set",
    );
    check(with_tls(Tls::None), "security = \"starttls\"", "does not offer STARTTLS: use `security = \"tls\"`");
    for tls in [(Tls::Offered, "starttls"), (Tls::Wrapped, "tls")] {
        let settings = format!("security = \"{}\"", tls.1);
        check(with_tls(tls.0), &settings, "is not trusted: nobody who is trusted here has signed it: write `host` as");
    }
    check(with_tls(Tls::None), "security = \"tls\"", "found no common way to encrypt");
    check(with_tls(Tls::None), "security = \"tls\"\nca_file = \"none.pem\"", "none.pem` cannot be read: No such file");
    check(
        with_tls(Tls::None),
        "security = \"tls\"\nca_file = \"smtp\"",
        "smtp` cannot be read: no certificate is in it",
    );
    let refuses = |at, then| Manners::default().with(at, 99, then);
    check(refuses("CONNECT", Then::Say("554 5.7.1 go away")), "", "refused at the beginning: 554 5.7.1 go away: the");
    check(refuses("CONNECT", Then::Say("421 too busy")), "", "refused at the beginning: 421 too busy: it should pass");
    check(refuses("CONNECT", Then::Drop), "", "broke off at the beginning");
    check(refuses("CONNECT", Then::Say("HTTP/1.1 400 Bad Request")), "", "its answer is no SMTP");
    check(
        refuses("CONNECT", Then::Silence),
        "timeout = \"1s\"",
        "gave no answer in time at the beginning: check `port`",
    );
    check(
        refuses("MAIL", Then::Say("550 5.7.60 no such sender")),
        "",
        "takes no mail from `spendbook@example.com`: 550",
    );
    check(refuses("MIDDLE", Then::Drop), "", "in the middle of one mail after another: the connection ended");
}

#[test]
fn a_certificate_for_another_name_is_not_trusted() {
    let server = SmtpServer::named(Manners { tls: Tls::Offered, ..Manners::default() }, "mail.example.com");
    let run = outbox(&server, "security = \"starttls\"\nca_file = \"ca.pem\"", &three());
    run.write("ca.pem", &server.certificate);
    let ran = run.run(&["deliver"]);
    assert!(ran.code == 1 && ran.stderr.contains("is not trusted: it is for another name"), "{ran:?}");
    assert_eq!(held(&run, "pending").len(), 3);
}

#[test]
fn a_dead_server_is_one_message_and_the_next_night_delivers() {
    // Nobody listens on a port that was given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mails = three();
    let run = with_port(port, "", &mails);
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_snapshot!(said(&run, &ran, port), @r#"
     mail  to             subject                   outcome  tries  next try  detail
     a     a@example.com  [a] 82 % — über dem Plan  waits        1            `127.0.0.1` (port <port>) cannot be reached: Connection refused (os error 111)
     b     b@example.com  [b] 82 % — über dem Plan  waits        1            `127.0.0.1` (port <port>) cannot be reached: Connection refused (os error 111)
     c     c@example.com  [c] 82 % — über dem Plan  waits        1            `127.0.0.1` (port <port>) cannot be reached: Connection refused (os error 111)

    3 waiting
    ERROR `127.0.0.1` (port <port>) cannot be reached: Connection refused (os error 111): check `host` and `port` in `[mail]`, and whether a firewall lets this machine out; 3 mails wait in the outbox
    "#);
    let server = SmtpServer::start(Manners::default());
    run.write("spendbook.toml", config(server.port, ""));
    let ran = run.run_at("2026-06-11T04:00:00Z", &["deliver"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_as_sealed(&server.received(), &mails);
}

#[test]
fn a_mail_that_is_wanted_later_is_tried_again_in_the_same_run() {
    let busy = Manners::default().with("RCPT TO:<b@example.com>", 1, Then::Say("451 4.7.1 greylisted")).with(
        "END c@example.com",
        2,
        Then::Say("452 4.3.1 disk full"),
    );
    let server = SmtpServer::start(busy);
    let mails = three();
    let run = outbox(&server, "", &mails);
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_as_sealed(&server.received(), &mails);
    assert_eq!((server.received().len(), server.connections()), (3, 1));
}

#[test]
fn a_mail_that_is_wanted_later_again_and_again_waits_longer_each_time() {
    let server =
        SmtpServer::start(Manners::default().with("RCPT TO:<b@example.com>", 999, Then::Say("451 greylisted")));
    let run = outbox(&server, "", &three());
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_snapshot!(ran.said(&run), @r#"
     mail  to             subject                   outcome  tries  next try              detail
     a     a@example.com  [a] 82 % — über dem Plan  sent         1
     b     b@example.com  [b] 82 % — über dem Plan  waits        1  2026-06-10T04:15:00Z  451 greylisted
     c     c@example.com  [c] 82 % — über dem Plan  sent         1

    2 sent, 1 waiting
    "#);
    assert_eq!(
        (held(&run, "sent"), held(&run, "pending")),
        (vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()])
    );
    // A minute later it is not its turn, which is no failure.
    let asked = |server: &SmtpServer| server.lines().iter().filter(|line| line.starts_with("RCPT TO:<b@")).count();
    assert_eq!(asked(&server), 3);
    let ran = run.run_at("2026-06-10T04:01:00Z", &["deliver"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("2026-06-10T04:15:00Z") && ran.stdout.contains("1 waiting"), "{ran:?}");
    assert_eq!(asked(&server), 3);
    let dry = run.run_at("2026-06-10T04:01:00Z", &["deliver", "--dry-run", "--format", "json"]);
    let dry: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!(
        (&dry[0]["outcome"], &dry[0]["detail"], &dry[0]["tries"]),
        (&"waits".into(), &"451 greylisted".into(), &1.into())
    );
    // Night after night, and after five days it is given up.
    for day in 11..15 {
        let ran = run.run_at(&format!("2026-06-{day}T04:00:00Z"), &["deliver"]);
        assert!(ran.code == 1 && ran.stdout.contains("waits"), "{ran:?}");
    }
    let ran = run.run_at("2026-06-15T04:00:00Z", &["deliver"]);
    assert!(ran.code == 1 && ran.stdout.contains("given up after five days: 451 greylisted"), "{ran:?}");
    assert_eq!((held(&run, "failed"), held(&run, "pending")), (vec!["b".to_owned()], Vec::new()));
    let ran = run.run_at("2026-06-16T04:00:00Z", &["deliver"]);
    assert_eq!((ran.code, ran.stdout.contains("1 failed before")), (0, true), "{ran:?}");
}

#[test]
fn what_the_server_refuses_for_good_has_failed_with_its_answer() {
    let refuses = Manners::default()
        .with(
            "RCPT TO:<b@example.com>",
            2,
            Then::Say("550-5.1.1 no such user\r\n550 5.1.1 \u{1b}[31msee https://mail.test/550"),
        )
        .with("END c@example.com", 1, Then::Say("554 5.7.1 looks like spam"));
    let server = SmtpServer::start(refuses);
    let mails = three();
    let run = outbox(&server, "", &mails);
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_snapshot!(ran.said(&run), @r#"
     mail  to             subject                   outcome  tries  next try  detail
     a     a@example.com  [a] 82 % — über dem Plan  sent         1
     b     b@example.com  [b] 82 % — über dem Plan  failed       1            550 5.1.1 no such user [31msee https://mail.test/550
     c     c@example.com  [c] 82 % — über dem Plan  failed       1            554 5.7.1 looks like spam

    1 sent, 2 failed: `spendbook deliver --retry-failed` tries again what has failed
    "#);
    assert_eq!(held(&run, "sent"), ["a"]);
    assert_eq!(held(&run, "failed"), ["b", "c"]);
    let noted = std::fs::read_to_string(run.path("book/outbox/failed/b.json")).unwrap();
    assert_snapshot!(noted, @r#"
    {
      "failed": "2026-06-10T04:00:00Z",
      "tries": 1,
      "answer": "550 5.1.1 no such user [31msee https://mail.test/550"
    }
    "#);
    // Nothing is tried again by itself.
    assert_eq!(run.run(&["deliver"]).code, 0);
    assert_eq!(server.received().len(), 1);
    // Asked to, also weeks later: first refused once more, then taken.
    let ran = run.run_at("2026-07-10T04:00:00Z", &["deliver", "--retry-failed"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        (held(&run, "sent"), held(&run, "failed")),
        (vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()])
    );
    let ran = run.run_at("2026-07-10T04:00:00Z", &["deliver", "--retry-failed"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_as_sealed(&server.received(), &mails);
    assert!(!run.path("book/outbox/failed/b.json").exists());
}

#[test]
fn a_conversation_that_ends_in_the_middle_harms_no_other_mail() {
    let moods = [
        ("MIDDLE a@example.com", Then::Drop),
        ("END a@example.com", Then::Drop),
        ("RCPT TO:<a@example.com>", Then::Drop),
        ("RCPT TO:<a@example.com>", Then::Say("421 closing")),
        ("END a@example.com", Then::Silence),
    ];
    for (at, then) in moods {
        let server = SmtpServer::start(Manners::default().with(at, 1, then));
        let mails = three();
        let run = outbox(&server, "timeout = \"4s\"", &mails);
        let ran = run.run(&["deliver"]);
        assert_eq!(ran.code, 0, "{at} {then:?}: {ran:?}");
        assert_as_sealed(&server.received(), &mails);
        assert_eq!((server.received().len(), server.connections()), (3, 2), "{at} {then:?}");
    }
    // One that ends it every time waits alone.
    let server = SmtpServer::start(Manners::default().with("MIDDLE a@example.com", 999, Then::Drop));
    let run = outbox(&server, "", &three());
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        (held(&run, "sent"), held(&run, "pending")),
        (vec!["b".to_owned(), "c".to_owned()], vec!["a".to_owned()])
    );
}

#[test]
fn a_mail_whose_answer_is_lost_comes_twice_with_the_same_id() {
    let server = SmtpServer::start(Manners::default().with("END a@example.com", 1, Then::KeepAndDrop));
    let mails = three();
    let run = outbox(&server, "", &mails);
    assert_eq!(run.run(&["deliver"]).code, 0);
    assert_eq!(server.received().len(), 4);
    assert_as_sealed(&server.received(), &mails);
}

#[test]
fn a_slow_server_is_waited_for() {
    let slow = Manners::default().with("CONNECT", 9, Then::SaySlowly("220 hello")).with(
        "END",
        9,
        Then::SaySlowly("250 taken"),
    );
    let server = SmtpServer::start(slow);
    let mails = three();
    let run = outbox(&server, "", &mails);
    assert_eq!(run.run(&["deliver"]).code, 0);
    assert_as_sealed(&server.received(), &mails);
}

#[test]
fn a_rate_is_kept() {
    let server = SmtpServer::start(Manners::default());
    let run = outbox(&server, "max_per_minute = 240", &three());
    let begun = Moment::now();
    assert_eq!(run.run(&["deliver"]).code, 0);
    // Two waits of a quarter of a second; how long the rest takes is not asked.
    assert!(begun.elapsed().as_millis() >= 500);
    assert_eq!(server.received().len(), 3);
}

#[test]
fn letters_outside_ascii_in_an_address_need_a_server_that_takes_them() {
    let server = SmtpServer::start(Manners::default());
    let run = outbox(&server, "", &[sealed("a", "jürgen@example.com"), sealed("b", "b@example.com")]);
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("not sent: the address has letters outside ASCII"), "{ran:?}");
    assert_eq!((held(&run, "sent"), held(&run, "failed")), (vec!["b".to_owned()], vec!["a".to_owned()]));
}

#[test]
fn old_mails_are_not_sent_all_at_once_when_a_server_is_named() {
    let run = TestRun::in_memory("[book]\npath = \"book\"\n");
    put(&run, &three());
    let ran = run.run(&["deliver"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_snapshot!(ran.said(&run), @r#"
     mail  to             subject                   outcome        tries  next try  detail
     a     a@example.com  [a] 82 % — über dem Plan  in the outbox      0
     b     b@example.com  [b] 82 % — über dem Plan  in the outbox      0
     c     c@example.com  [c] 82 % — über dem Plan  in the outbox      0

    3 mails in `book/outbox/pending`, for another program to send and move to `sent`; `transport = "smtp"` in `[mail]` sends them from here
    "#);
    assert_eq!(held(&run, "pending"), ["a", "b", "c"]);
    let server = SmtpServer::start(Manners::default());
    run.write("spendbook.toml", config(server.port, ""));
    put(&run, &[sealed("d", "d@example.com")]);
    let ran = run.run_at("2026-06-15T04:00:00Z", &["deliver"]);
    assert!(ran.code == 1 && ran.stdout.contains("not sent: it was more than five days old"), "{ran:?}");
    assert_eq!(held(&run, "failed").len(), 4);
    assert_eq!(server.received(), []);
    assert_eq!(run.run_at("2026-06-15T04:00:00Z", &["deliver", "--retry-failed"]).code, 0);
    assert_eq!(server.received().len(), 4);
}

#[test]
fn a_look_connects_to_nobody_and_changes_nothing() {
    let server = SmtpServer::start(Manners::default());
    let run = outbox(&server, "", &three());
    run.write("book/outbox/pending/notes.txt", "not a mail");
    run.write("book/outbox/pending/broken.eml", "no headers here");
    let before = files_below(&run.path("book"));
    let ran = run.run(&["deliver", "--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_snapshot!(ran.said(&run), @r#"
     mail  to             subject                   outcome  tries  next try  detail
     a     a@example.com  [a] 82 % — über dem Plan  due          0
     b     b@example.com  [b] 82 % — über dem Plan  due          0
     c     c@example.com  [c] 82 % — über dem Plan  due          0

    3 due
    "#);
    assert_eq!((files_below(&run.path("book")), server.connections()), (before, 0));
    // Sent, what is no mail is set aside with the reason.
    let ran = run.run(&["deliver"]);
    assert!(ran.code == 1 && ran.stdout.contains("no recipient can be read in it"), "{ran:?}");
    assert_eq!((held(&run, "failed"), server.received().len()), (vec!["broken".to_owned()], 3));
    assert!(run.path("book/outbox/pending/notes.txt").exists());
}

/// Killed at any moment, each mail arrives at least once, and what arrives twice
/// is the same mail.
#[test]
fn killed_at_random_each_mail_arrives() {
    let mails: Vec<Sealed> = (10..18).map(|at| sealed(&format!("mail-{at}"), &format!("m{at}@example.com"))).collect();
    let usual = {
        let server = SmtpServer::start(Manners::default());
        let run = outbox(&server, "", &mails);
        let begun = Moment::now();
        assert_eq!(run.run(&["deliver"]).code, 0);
        begun.elapsed()
    };
    let mut dice = Dice(0xde11);
    let mut interrupted = 0;
    for point in 0..times("SPENDBOOK_KILLS", 20) {
        let server = SmtpServer::start(Manners::default());
        let run = outbox(&server, "", &mails);
        for _ in 0..2 {
            let mut child = run.command(&["deliver"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(usual * u32::try_from(dice.below(1_000)).unwrap() / 1_000);
            child.kill().unwrap();
            child.wait().unwrap();
            let known: BTreeMap<_, _> = files_below(&run.path("book/outbox")).into_iter().collect();
            for mail in &mails {
                let copies =
                    known.keys().filter(|name| Path::new(name).file_stem().is_some_and(|it| it == mail.id.as_str()));
                assert_eq!(copies.count(), 1, "point {point}: {}", mail.id);
            }
            let sent = held(&run, "sent").len();
            interrupted += u32::from(sent > 0 && sent < mails.len());
        }
        let ran = run.run(&["deliver"]);
        assert_eq!(ran.code, 0, "point {point}: {ran:?}");
        assert_eq!((held(&run, "sent").len(), held(&run, "pending").len()), (mails.len(), 0), "point {point}");
        assert_as_sealed(&server.received(), &mails);
        // At most one repeat for each kill.
        assert!(server.received().len() <= mails.len() + 2, "point {point}");
    }
    assert!(interrupted > 0, "no kill has hit the middle of a delivery");
}

#[test]
fn the_doctor_goes_as_far_as_a_mail_would_and_sends_none() {
    let say = |server: &SmtpServer, settings: &str, prepare: &dyn Fn(&TestRun)| {
        let run = outbox(server, settings, &three());
        run.write("smtp", PASSWORD);
        run.write("ca.pem", &server.certificate);
        restrict(&run.path("smtp"), 0o600);
        prepare(&run);
        let ran = run.run(&["doctor"]);
        assert!(!ran.stdout.contains(PASSWORD), "{ran:?}");
        assert_eq!((held(&run, "pending").len(), server.received()), (3, Vec::new()));
        let lines: Vec<_> = ran.stdout.lines().filter(|line| line.split_whitespace().nth(1) == Some("mail")).collect();
        lines.join("\n").replace(&server.port.to_string(), "<port>")
    };
    let login = "username = \"spendbook\"\npassword_file = \"smtp\"";
    let tls = format!("security = \"starttls\"\nca_file = \"ca.pem\"\n{login}");
    let server = SmtpServer::start(Manners { tls: Tls::Offered, login: LOGIN, ..Manners::default() });
    let said = say(&server, &tls, &|_| ());
    assert_snapshot!(said, @r#"ok       mail        `127.0.0.1` (port <port>) answers with STARTTLS, as `spendbook`"#);
    assert_eq!(server.lines().last().map(String::as_str), Some("QUIT"));
    let said = say(&server, &tls, &|run| {
        run.write("smtp", "wrong");
        restrict(&run.path("smtp"), 0o644);
    });
    assert_snapshot!(said, @r#"
    problem  mail        `127.0.0.1` (port <port>) did not let `spendbook` in: 535 5.7.8 Bad credentials …: check `username` and its password; some services want a password made for this
    warning  mail        `smtp` with the password can be read by others: `chmod 600 smtp`
    "#);
    let said = say(&server, "security = \"starttls\"", &|run| run.write("book/outbox/failed/x.eml", "To: <x@y.z>\n\n"));
    assert_snapshot!(said, @r#"
    problem  mail        the certificate of `127.0.0.1` (port <port>) is not trusted: nobody who is trusted here has signed it: write `host` as the certificate names it, or trust the company's own certificates with `ca_file`
    warning  mail        1 mail could not be delivered: `spendbook deliver --dry-run` says why; once that is put right, `spendbook deliver --retry-failed`
    "#);
    let said = say(&server, "username = \"spendbook\"\npassword_env = \"NOT_SET\"", &|_| ());
    assert_snapshot!(said, @r#"problem  mail        the password for `127.0.0.1` (port <port>) cannot be read: the environment variable `NOT_SET` is not set, expected the secret in it: set `NOT_SET` where the night runs: cron and systemd do not know your shell's variables"#);
}

fn restrict(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn the_status_counts_what_has_not_arrived() {
    let server = SmtpServer::start(Manners::default().with("RCPT TO:<b@", 1, Then::Say("550 no")));
    let run = outbox(&server, "", &three());
    let told = |run: &TestRun| {
        let ran = run.run(&["status"]);
        ran.stdout.lines().filter(|line| line.contains("spendbook deliver")).map(str::to_owned).collect::<String>()
    };
    assert_eq!(told(&run), "3 mails not sent yet: `spendbook deliver --dry-run` says why");
    assert_eq!(run.run(&["deliver"]).code, 1);
    assert_eq!(told(&run), "1 mail could not be delivered: `spendbook deliver --dry-run` says why");
    put(&run, &[sealed("d", "d@example.com")]);
    let both = "1 mail not sent yet, 1 could not be delivered: `spendbook deliver --dry-run` says why";
    assert_eq!(told(&run), both);
    let facts: serde_json::Value = serde_json::from_str(&run.run(&["status", "--format", "json"]).stdout).unwrap();
    assert_eq!((&facts["mails_pending"], &facts["mails_failed"]), (&1.into(), &1.into()));
    assert_eq!(run.run(&["deliver", "--retry-failed"]).code, 0);
    assert_eq!(told(&run), "");
}
