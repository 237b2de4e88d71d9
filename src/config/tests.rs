//! Whole configs beside what they mean; broken ones are in `broken` and the
//! modules beside it.

mod broken;
mod broken_keys;
mod broken_mail;
mod broken_sources;

use insta::assert_snapshot;

use super::*;
use crate::{
    money::Usd,
    record::Meter,
    time::{Day, Instant},
};

/// The formats that the tests know, so that a new one changes no message here.
const FORMATS: &[&str] = &["native", "openai", "litellm", "custom", "auto"];

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    parse_with(text, Path::new("conf/spendbook.toml"), FORMATS)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// What is said about a broken config, with `f` for the file's name.
fn errors(text: &str) -> String {
    let errors = parse_with(text.trim_start(), Path::new("f"), FORMATS).unwrap_err();
    errors.errors().iter().map(|error| format!("{error}\n")).collect()
}

fn instant(text: &str) -> Option<Instant> {
    Instant::parse(text, chrono_tz::Tz::UTC)
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

const EXAMPLE: &str = r#"
[book]
path = "book"
pricing = "pricing"
timezone = "UTC"

[organization]
name = "Example"
monthly_budget_usd = "1000"
thresholds = [50, 80, 95, 100]        # also the default for teams; up to 1000
finance = ["finops@example.com"]
operators = ["platform@example.com"]  # told when a night fails

[[source]]
name = "gateway"
format = "openai"
path = "logs/gateway-*.jsonl*"        # globs, symlinks followed
provider = "groq"                     # where the record does not say

[teams.chatbot]
owners = ["chatbot-lead@example.com"]
monthly_budget_usd = "200"
allowed_models = ["llama-3.3-70b-versatile", "llama-3.1-8b-instant"]
max_tokens_per_request = 2048
rate_limit_rpm = 60                   # requests per minute
rate_limit_tpm = 100000               # tokens per minute

[[key]]
name = "chatbot-prod"
team = "chatbot"
environment = "prod"
project = "chatbot-production"
valid_from = "2026-01-01"             # UTC

[mail]
from = "Spendbook <spendbook@example.com>"
transport = "directory"

[privacy]
users = "plain"
"#;

#[test]
fn the_example_of_the_design_means_what_it_says() {
    let config = good(EXAMPLE);
    let budget = |amount: &str| Budget {
        period: Period::Month,
        amount: Usd::parse(amount).unwrap(),
        timezone: chrono_tz::Tz::UTC,
        thresholds: vec![50, 80, 95, 100],
        valid_from: None,
        rollover: false,
        rollover_cap: None,
    };
    let chatbot = Team {
        name: "chatbot".to_owned(),
        formerly: Vec::new(),
        owners: vec![mailbox("chatbot-lead@example.com")],
        budgets: vec![budget("200")],
        thresholds: vec![50, 80, 95, 100],
        policy: Policy {
            allowed_models: Some(vec!["llama-3.3-70b-versatile".to_owned(), "llama-3.1-8b-instant".to_owned()]),
            max_tokens_per_request: Some(2048),
            rate_limit_rpm: Some(60),
            rate_limit_tpm: Some(100_000),
        },
        timezone: chrono_tz::Tz::UTC,
    };
    let expect = Config {
        totals: Vec::new(),
        path: PathBuf::from("conf/spendbook.toml"),
        dir: PathBuf::from("conf"),
        book: Book::default(),
        organization: Organization {
            name: Some("Example".to_owned()),
            budgets: vec![budget("1000")],
            finance: vec![mailbox("finops@example.com")],
            operators: vec![mailbox("platform@example.com")],
            ..Organization::default()
        },
        sources: vec![Source {
            name: "gateway".to_owned(),
            format: "openai".to_owned(),
            path: "logs/gateway-*.jsonl*".to_owned(),
            provider: Some("groq".to_owned()),
            ..Source::default()
        }],
        teams: BTreeMap::from([("chatbot".to_owned(), chatbot)]),
        keys: vec![Key {
            name: "chatbot-prod".to_owned(),
            holder: Holder::Team("chatbot".to_owned()),
            environment: Some("prod".to_owned()),
            purpose: None,
            project: Some("chatbot-production".to_owned()),
            valid_from: instant("2026-01-01T00:00:00Z"),
            valid_until: None,
            fingerprint: None,
            key_id: None,
            replaces: None,
            owner: None,
            policy: Policy::default(),
            budgets: Vec::new(),
        }],
        pools: BTreeMap::new(),
        models: BTreeMap::new(),
        mail: Mail { from: mailbox("Spendbook <spendbook@example.com>"), ..Mail::default() },
        privacy: Privacy { users: Users::Plain },
        reconcile: Reconcile::default(),
        run: Run::default(),
    };
    assert_eq!(config, expect);
    assert_eq!([config.book_dir(), config.pricing_dir()], ["conf/book", "conf/pricing"].map(PathBuf::from));
    // Line ends and a byte order mark of another system change nothing.
    let windows = format!("\u{feff}{}", EXAMPLE.replace('\n', "\r\n"));
    assert_eq!(Config::parse(&windows.replace("\"openai\"", "\"native\""), &config.path).unwrap().teams, config.teams);
}

#[test]
fn keys_and_models_have_budgets_of_their_own() {
    let config = good(
        r#"
        book.timezone = "Europe/Berlin"
        organization.thresholds = [70]
        run.budget_state = "state/budgets.json"
        [teams.a]
        timezone = "Asia/Tokyo"
        thresholds = [90]
        [pools.p]
        a = 100
        [[key]]
        name = "a-prod"
        team = "a"
        monthly_budget_usd = "5"
        [[key.budget]]
        period = "week"
        amount_usd = "2"
        rollover = true
        [[key]]
        name = "shared"
        pool = "p"
        monthly_budget_usd = "6"
        [[key]]
        name = "plain"
        team = "a"
        [models."llama-3.3-70b-versatile"]
        monthly_budget_usd = "7"
        [[models."llama-3.3-70b-versatile".budget]]
        period = "day"
        amount_usd = "1"
        timezone = "UTC"
        [models.m]
        timezone = "America/Havana"
        thresholds = [10]
        monthly_budget_usd = "8"
        "#,
    );
    let shown = |budgets: &[Budget]| -> Vec<String> {
        let text =
            |it: &Budget| format!("{} {} {} {:?}", it.period.name(), it.amount.shown(), it.timezone, it.thresholds);
        budgets.iter().map(text).collect()
    };
    let key = |at: usize| shown(&config.keys[at].budgets);
    assert_eq!(key(0), ["month $5.00 Asia/Tokyo [90]", "week $2.00 Asia/Tokyo [90]"]);
    assert_eq!(key(1), ["month $6.00 Europe/Berlin [70]"]);
    assert_eq!(key(2), [""; 0]);
    let model = |name: &str| shown(&config.models[name].budgets);
    assert_eq!(model("llama-3.3-70b-versatile"), ["month $7.00 Europe/Berlin [70]", "day $1.00 UTC [70]"]);
    assert_eq!(model("m"), ["month $8.00 America/Havana [10]"]);
    assert_eq!(config.run.budget_state.as_deref(), Some(Path::new("state/budgets.json")));
}

#[test]
fn the_budgets_of_a_key_stand_in_one_of_its_entries() {
    let text = r#"
[teams.a]
[[key]]
name = "k"
team = "a"
valid_until = "2026-06-01"
monthly_budget_usd = "5"
[[key]]
name = "k"
team = "a"
valid_from = "2026-06-01"
[[key.budget]]
period = "day"
amount_usd = "1"
[models." m"]
monthly_budget_usd = 0.5
"#;
    assert_snapshot!(errors(text), @r#"
    f:11:1: the key `k` has budgets in another entry too, on line 3, expected all of them in one entry, with `valid_from` where they change (config-conflict)
     11 | [[key.budget]]
        | ^^^^^^^^^^^^^^
    f:14:9: the name of a model is ` m`, expected a name on one line without spaces around it (config-bad-value)
     14 | [models." m"]
        |         ^^^^
    f:15:22: `monthly_budget_usd` is the float `0.5`, expected an amount in quotes or a whole number (config-float-amount)
     15 | monthly_budget_usd = 0.5
        |                      ^^^
        = write `monthly_budget_usd = "0.5"`, since binary floats do not hold money exactly
    "#);
}

#[test]
fn what_a_level_does_not_say_comes_from_the_one_above() {
    let config = good(
        r#"
        book.timezone = "Europe/Berlin"
        book.week_start = "sunday"
        book.keep = { usage = "60w", runs = "30d" }
        organization.thresholds = [100, 90, 90]
        [[source]]
        name = "g"
        format = "auto"
        path = "x"
        provider = "Groq"
        silent_after = "90m"
        [teams.a]
        monthly_budget_usd = 5
        [teams.b]
        timezone = "Asia/Tokyo"
        thresholds = [10]
        [[teams.b.budget]]
        period = "week"
        amount_usd = "0.50"
        valid_from = 2026-12-01
        rollover = true
        rollover_cap_usd = "0.25"
        [[teams.b.budget]]
        period = "week"
        amount_usd = "1"
        timezone = "UTC"
        thresholds = [1000]
        "#,
    );
    let budgets = |team: &str| -> Vec<String> {
        let shown = |it: &Budget| {
            format!("{} {} {:?} {}", it.period.name(), it.timezone, it.thresholds, it.valid_from.is_some())
        };
        config.teams[team].budgets.iter().map(shown).collect()
    };
    assert_eq!(budgets("a"), ["month Europe/Berlin [90, 100] false"]);
    assert_eq!(budgets("b"), ["week Asia/Tokyo [10] true", "week UTC [1000] false"]);
    assert_eq!(config.teams["b"].budgets[0].valid_from, Day::parse("2026-12-01"));
    assert!(config.teams["b"].budgets[0].rollover);
    assert_eq!(config.teams["b"].budgets[0].rollover_cap, Usd::parse("0.25").ok());
    assert_eq!(config.sources[0].timezone, chrono_tz::Tz::Europe__Berlin);
    assert_eq!(config.sources[0].provider.as_deref(), Some("groq"));
    assert_eq!(config.sources[0].silent_after_micros, 90 * 60 * 1_000_000);
    assert_eq!(config.book.week_start, chrono::Weekday::Sun);
    assert_eq!(config.book.keep, BTreeMap::from([(KeptTable::Usage, 420), (KeptTable::Runs, 30)]));
    assert_eq!(good("book.keep = \"9d\"").book.keep.len(), KeptTable::ALL.len());
}

#[test]
fn keys_may_follow_each_other_and_pools_may_have_fractions() {
    let config = good(
        r#"
        [teams.a]
        [teams."b c"]
        [pools.p]
        a = "33.333333"
        "b c" = "66.666667"
        [pools.q.shares]
        a = 100
        [[key]]
        name = "sk-search2-production-eu-west"
        team = "a"
        valid_until = "2026-03-01"
        [[key]]
        name = "sk-search2-production-eu-west"
        pool = "p"
        valid_from = "2026-03-01T00:00:00Z"
        replaces = "gone"
        fingerprint = "CA9D12018255ca9d12018255ca9d12018255ca9d12018255ca9d12018255ca9d"
        [mail]
        from = "me@example.com"
        transport = "smtp"
        host = "email-smtp.eu-west-1.amazonaws.com"
        security = "tls"
        username = "AKIA0123456789ABCDEF"
        password_file = "smtp"
        ca_file = "company.pem"
        hello_name = "books.example.com"
        timeout = "5s"
        max_per_minute = 20
        "#,
    );
    assert_eq!(config.keys[1].holder, Holder::Pool("p".to_owned()));
    assert_eq!(config.keys[0].valid_until, config.keys[1].valid_from);
    assert_eq!(config.keys[1].fingerprint.as_deref(), Some("fp_ca9d12018255"));
    assert_eq!(config.pools["p"].shares["a"], 33_333_333);
    assert_eq!(config.pools["q"].shares, BTreeMap::from([("a".to_owned(), Pool::WHOLE)]));
    let Transport::Smtp(smtp) = config.mail.transport else { panic!("{:?}", config.mail) };
    assert_eq!((smtp.port, smtp.security), (465, Security::Tls));
    assert_eq!((smtp.ca_file, smtp.hello_name), (Some("company.pem".into()), Some("books.example.com".to_owned())));
    assert_eq!((smtp.timeout.as_secs(), smtp.max_per_minute), (5, Some(20)));
    let password = SecretFrom::File(PathBuf::from("smtp"));
    assert_eq!(smtp.login, Some(("AKIA0123456789ABCDEF".to_owned(), password)));
}

#[test]
fn a_custom_source_says_where_each_field_stands() {
    let config = good(
        r#"
        [[source]]
        name = "own"
        format = "custom"
        path = "x"
        cache = "beside"
        [source.fields]
        ts = { field = "time", format = "%d/%b/%Y:%H:%M:%S %z" }
        provider = { value = "groq" }
        model = "/model~1name"
        http_status = { value = 200 }
        latency = { field = "/took", unit = "s" }
        prompt_tokens = "/usage/prompt_tokens"
        completion_tokens = "/usage/completion_tokens"
        audio_ms = "/audio"
        reported_cost = { field = "/cost", unit = "cents" }
        "#,
    );
    let custom = config.sources[0].custom.as_ref().unwrap();
    assert_eq!(custom.cache, CachePlace::Beside);
    let shown: Vec<String> = custom
        .fields
        .iter()
        .map(|(field, mapped)| format!("{} {:?} {:?}", field.name(), mapped.place, mapped.unit))
        .collect();
    assert_eq!(
        shown,
        [
            r#"ts Name("time") Time(Pattern("%d/%b/%Y:%H:%M:%S %z"))"#,
            r#"provider Constant("groq") Plain"#,
            r#"model Pointer("/model~1name") Plain"#,
            r#"http_status Constant("200") Plain"#,
            r#"latency Pointer("/took") Seconds"#,
            r#"input_tokens Pointer("/usage/prompt_tokens") Plain"#,
            r#"output_tokens Pointer("/usage/completion_tokens") Plain"#,
            r#"audio_ms Pointer("/audio") Millis"#,
            r#"reported_cost Pointer("/cost") Cents"#,
        ]
    );
    for info in &crate::record::METERS {
        let field = CustomField::Meter(Meter::from_column(info.column).unwrap());
        assert_eq!(field.name(), info.column);
    }
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spendbook.toml");
    let error = |path: &Path| {
        let errors = Config::load(path).unwrap_err();
        (errors.to_string().replace(&path.display().to_string(), "f"), errors.errors()[0].problem.code())
    };
    assert_snapshot!(error(&path).0, @"
    f: there is no such file (config-not-found)
       = run `spendbook init` to write one, or name another one with `--config` or `$SPENDBOOK_CONFIG`
    ");
    assert_eq!(error(dir.path()).1, "config-unreadable");
    std::fs::write(&path, [0xff, 0xfe, b'a']).unwrap();
    assert_eq!(error(&path).1, "config-not-utf8");
    std::fs::write(&path, "").unwrap();
    assert_eq!(Config::load(&path).unwrap().dir, dir.path());
}

/// Whatever is wrong around a secret, nothing that is said shows it.
#[test]
fn no_message_shows_a_secret() {
    let key = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef";
    for text in [
        "[teams.a]\nowners = [\"KEY\"]\nallowed_models = \"KEY\"\ntimezone = \"KEY\"",
        "[teams.KEY]\nmonthly_budget_usd = \"KEY\"\nx = 1",
        "[[key]]\nname = \"k\"\nteam = \"KEY\"",
        "[[key]]\nname = \"k\"\npool = \"KEY\"",
        "[[source]]\nname = \"KEY\"\nformat = \"KEY\"\npath = \"https://KEY\"",
        "KEY = KEY",
        "[book]\npath = \"KEY",
        "[book]\nKEY = \"x\"\nKEY = 3",
        "[pools.p]\nKEY = \"KEY\"",
        "[mail]\nfrom = \"KEY\"\npassword_env = \"KEY x\"",
        "x = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa KEY",
    ] {
        let said = errors(&text.replace("KEY", key));
        assert!(said.contains("config-secret"), "{said}");
        assert!(!said.contains("gsk_Q2"), "{said}");
    }
    for text in ["[mail]\npassword = hunter2", "[mail]\npassword = \"hunter2", "mail = { password = 'hunter2', x = 1 }"]
    {
        let said = errors(text);
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn every_table_refuses_a_key_that_it_does_not_have() {
    for table in [
        "",
        "[book]",
        "[book.keep]",
        "[organization]",
        "[[organization.budget]]",
        "[[source]]",
        "[teams.a]",
        "[[teams.a.budget]]",
        "[[key]]",
        "[mail]",
        "[privacy]",
        "[reconcile]",
        "[run]",
    ] {
        let said = errors(&format!("#\n{table}\nnonsense = 1\n"));
        assert!(said.contains("f:3:1: unknown key `nonsense` in "), "{table}: {said}");
    }
}

#[test]
fn no_damage_to_a_config_makes_it_panic() {
    let damages = ["", "\"", "[", "}", "=", "\n", "é", "\0", "9e9", "'''", "."];
    for (at, _) in EXAMPLE.char_indices().step_by(1) {
        let (before, after) = EXAMPLE.split_at(at);
        let broken = format!("{before}{}{}", damages[at % damages.len()], &after[1..]);
        for text in [before, broken.as_str()] {
            if let Err(errors) = parse(text) {
                assert!(errors.errors().iter().all(|error| error.line > 0 && error.column > 0), "{errors}");
            }
        }
    }
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(errors(&deep).contains("config-syntax"));
}
