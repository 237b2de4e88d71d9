//! Attribution beside a small config.

use std::path::Path;

use super::*;
use crate::time::Day;

const CONFIG: &str = r#"
    [book]
    environments = ["prod", "production", "staging", "prod-eu"]
    [teams.chat]
    [teams.chat-lab]
    formerly = ["assistant"]
    [teams.search]
    [pools.shared]
    chat = 60
    search = 40
    [[key]]
    name = "chat-prod"
    team = "search"
    environment = "prod"
    purpose = "ranking"
    project = "ranking-production"
    valid_from = "2026-06-01T12:00:00Z"
    valid_until = "2026-06-02"
    [[key]]
    name = "gateway"
    fingerprint = "fp_0123456789ab"
    pool = "shared"
    [[key]]
    name = "batch-2026"
    team = "chat"
    valid_until = "2026-03-01"
    replaces = "nightly-2025"
"#;

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("spendbook.toml")).unwrap()
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

fn noon() -> Instant {
    day("2026-06-01").start().plus_micros(12 * 3_600_000_000)
}

fn claim(key: &'static str, team_reported: &'static str) -> Claim<'static> {
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    Claim { key: some(key), team_reported: some(team_reported) }
}

fn text(attribution: &Attribution) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let Attribution { team, environment, purpose, project, basis } = attribution;
    format!("{} {} {} {} {}", part(team), part(environment), part(purpose), part(project), basis.name())
}

#[test]
fn the_registry_comes_first_then_the_convention_then_the_log() {
    let config = config(CONFIG);
    let registry = Registry::new(&config);
    for (key, team_reported, expect) in [
        ("chat-prod", "", "search prod ranking ranking-production registry"),
        ("gateway", "chat", "shared:shared - - - registry"),
        ("fp_0123456789ab", "", "shared:shared - - - registry"),
        ("chat-staging", "search", "chat staging - - convention"),
        ("chat-production", "", "chat production - - convention"),
        ("chat-prod-eu", "", "chat prod-eu - - convention"),
        ("chat-prod-euro", "", "chat prod euro - convention"),
        ("chat-prod-night-batch", "", "chat prod night-batch - convention"),
        ("chat-lab-prod", "", "chat-lab prod - - convention"),
        ("assistant-prod", "", "chat-lab prod - - convention"),
        ("chat-lab", "", "- - - - none"),
        ("chat-prod-", "search", "search - - - reported"),
        ("chat-prodigy", "", "- - - - none"),
        ("Chat-prod", "", "- - - - none"),
        ("batch-2026", "", "- - - - none"),
        ("", "assistant", "chat-lab - - - reported"),
        ("", "shared:shared", "- - - - none"),
        ("fp_ffffffffffff", "nobody", "- - - - none"),
        ("", "", "- - - - none"),
    ] {
        assert_eq!(text(&registry.attribute(claim(key, team_reported), noon())), expect, "{key} {team_reported}");
    }
}

#[test]
fn a_team_whose_name_ends_like_an_environment_does_not_hide_the_shorter_one() {
    let config = config("[teams.data]\n[teams.data-prod]\n");
    let registry = Registry::new(&config);
    for (key, expect) in [
        ("data-prod", "data prod - - convention"),
        ("data-prod-web", "data prod web - convention"),
        ("data-prod-test", "data-prod test - - convention"),
    ] {
        assert_eq!(text(&registry.attribute(claim(key, ""), noon())), expect, "{key}");
    }
}

fn shown(stretches: &[Stretch]) -> Vec<String> {
    stretches.iter().map(|it| format!("{} {} {}", it.from, it.until, text(&it.attribution))).collect()
}

#[test]
fn a_key_is_registered_to_the_microsecond() {
    let config = config(CONFIG);
    let registry = Registry::new(&config);
    let chat_prod = claim("chat-prod", "");
    let team = |at| registry.attribute(chat_prod, at).team;
    assert_eq!(team(noon().plus_micros(-1)).as_deref(), Some("chat"));
    assert_eq!(team(noon()).as_deref(), Some("search"));
    assert_eq!(team(day("2026-06-02").start().plus_micros(-1)).as_deref(), Some("search"));
    assert_eq!(team(day("2026-06-02").start()).as_deref(), Some("chat"));
    assert_eq!(
        shown(&registry.stretches(chat_prod, day("2026-06-01").start(), day("2026-06-01").end())),
        [
            "2026-06-01T00:00:00Z 2026-06-01T12:00:00Z chat prod - - convention",
            "2026-06-01T12:00:00Z 2026-06-02T00:00:00Z search prod ranking ranking-production registry",
        ]
    );
    assert_eq!(registry.stretches(chat_prod, day("2026-06-02").start(), day("2026-06-03").start()).len(), 1);
}

#[test]
fn a_key_moves_between_teams_and_its_past_stays() {
    let text = r#"
        [teams.a]
        [teams.b]
        formerly = ["c"]
        [[key]]
        name = "one"
        fingerprint = "fp_0123456789ab"
        key_id = "key_01AbC"
        team = "a"
        valid_until = "2026-06-01"
        [[key]]
        name = "one"
        fingerprint = "fp_0123456789ab"
        key_id = "key_01AbC"
        team = "b"
        valid_from = "2026-06-01"
    "#;
    let config = config(text);
    let registry = Registry::new(&config);
    for key in ["one", "fp_0123456789ab", "key_01AbC"] {
        assert_eq!(
            shown(&registry.stretches(claim(key, "c"), day("2026-05-31").start(), day("2026-06-02").start())),
            [
                "2026-05-31T00:00:00Z 2026-06-01T00:00:00Z a - - - registry",
                "2026-06-01T00:00:00Z 2026-06-02T00:00:00Z b - - - registry",
            ]
        );
    }
}

#[test]
fn a_key_has_its_name_in_its_time_and_for_its_use_also_outside_of_it() {
    let text = r#"
        [teams.a]
        [[key]]
        name = "one"
        fingerprint = "fp_0123456789ab"
        key_id = "two"
        team = "a"
        valid_from = "2026-05-01"
        valid_until = "2026-06-01"
        [[key]]
        name = "later"
        fingerprint = "fp_0123456789ab"
        team = "a"
        valid_from = "2026-07-01"
        [[key]]
        name = "two"
        team = "a"
        valid_from = "2026-06-01"
    "#;
    let config = config(text);
    let registry = Registry::new(&config);
    for (key, when, name, lasting) in [
        ("one", "2026-05-31", "one", "one"),
        ("one", "2026-06-01", "one", "one"),
        ("fp_0123456789ab", "2026-05-31", "one", "one"),
        // In no time of it, it is what it was last.
        ("fp_0123456789ab", "2026-06-01", "fp_0123456789ab", "later"),
        ("fp_0123456789ab", "2026-07-01", "later", "later"),
        // An id that is the name of another key is that one, but in its own time.
        ("two", "2026-05-31", "one", "one"),
        ("two", "2026-06-01", "two", "two"),
        ("two", "2026-04-30", "two", "two"),
        ("nobody", "2026-06-01", "nobody", "nobody"),
    ] {
        let at = day(when).start();
        assert_eq!((registry.key_name(key, at), registry.lasting_name(key, at)), (name, lasting), "{key} {when}");
    }
}

#[test]
fn the_digest_tells_what_can_match_from_what_cannot() {
    let june = day("2026-06-01");
    let digest = |text: &str, claims: &[Claim<'_>]| {
        let config = config(text);
        Registry::new(&config).digest(claims.iter().copied(), june.start(), june.end())
    };
    let claims = [claim("chat-prod", "search"), claim("nobody", "assistant")];
    let before = digest(CONFIG, &claims);
    let with = |more: &str| digest(&format!("{CONFIG}{more}"), &claims);
    assert_eq!(digest(CONFIG, &[claims[1], claims[0], claims[0]]), before, "order and repetition");
    assert_eq!(with("\n[[key]]\nname = \"other\"\nteam = \"chat\"\n"), before, "a new key");
    assert_eq!(with("\n[teams.new]\nformerly = [\"old\"]\n"), before, "a new team");
    assert_eq!(digest(&CONFIG.replace("ranking-production", "x"), &claims), before, "a project");
    assert_eq!(digest(&CONFIG.replace("chat = 60\n    search = 40", "chat = 50\n    search = 50"), &claims), before);
    assert_ne!(digest(&CONFIG.replace("\"ranking\"", "\"retrieval\""), &claims), before, "a purpose");
    assert_ne!(digest(&CONFIG.replace("2026-06-01T12", "2026-06-01T13"), &claims), before, "a date");
    assert_ne!(with("\n[[key]]\nname = \"nobody\"\nteam = \"chat\"\n"), before, "a key that was nobody's");
    assert_ne!(digest(&CONFIG.replace("\"assistant\"", "\"helper\""), &claims), before, "a former name");
    assert_ne!(digest(&CONFIG.replace("\"prod\", \"production\"", "\"production\""), &claims), before, "environments");
    assert_ne!(digest(CONFIG, &claims[..1]), before, "a claim");
}

#[test]
fn what_is_nobodys_comes_with_whose_it_may_be() {
    let config = config(CONFIG);
    let registry = Registry::new(&config);
    for (key, team_reported, project, expect) in [
        (
            "batch-2026",
            "",
            "",
            "`batch-2026` is registered to `chat`, and not at that time: see its valid_from and valid_until",
        ),
        ("nightly-2025", "", "", "`batch-2026` of `chat` replaces it: register the old key too"),
        (
            "fp_ffffffffffff",
            "",
            "ranking-production",
            "its project `ranking-production` is that of `chat-prod`, which belongs to `search`",
        ),
        ("chat-lab-web", "", "", "begins with `chat-lab`, and none of `environments` follows: `chat-lab`?"),
        ("assistant", "", "", "begins with `assistant`, and none of `environments` follows: `chat-lab`?"),
        ("gatewya", "", "", "nearly `gateway`, which belongs to `shared:shared`"),
        ("saerch-prod-web", "", "", "`saerch` may be a misspelt `search`"),
        ("Search_staging", "", "", "`Search` may be a misspelt `search`"),
        ("fp_ffffffffffff", "Search", "", "the log says `Search`: `search`, or its `formerly`?"),
        ("fp_ffffffffffff", "finance", "", ""),
        ("zebra", "", "", ""),
        ("chat-prod", "", "", ""),
        ("", "", "", ""),
    ] {
        let project = (!project.is_empty()).then_some(project);
        let suggestion = registry.suggestion(claim(key, team_reported), project, noon());
        let shown = suggestion.map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(shown, expect, "{key} {team_reported}");
    }
}
