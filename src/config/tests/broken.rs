//! Broken configs beside exactly what is said about them.

use insta::assert_snapshot;

use super::errors;

#[test]
fn misspelt_keys() {
    let text = r#"
[book]
tmezone = "UTC"
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:1: unknown key `tmezone` in `[book]`, did you mean `timezone`? (config-unknown-key)
     2 | tmezone = "UTC"
       | ^^^^^^^
       = `[book]` has `default_rate_limit_rpm`, `environments`, `keep`, `path`, `pricing`, `timezone` and `week_start`
    "#);
}

#[test]
fn misspelt_tables() {
    let text = r"
[team.chatbot]
";
    assert_snapshot!(errors(text), @r"
    f:1:2: unknown key `team` in the config, did you mean `teams`? (config-unknown-key)
     1 | [team.chatbot]
       |  ^^^^
       = the config has `book`, `key`, `mail`, `models`, `organization`, `pools`, `privacy`, `reconcile`, `run`, `source` and `teams`
    ");
}

#[test]
fn one_table_where_a_list_belongs() {
    let text = r#"
[source]
name = "x"
"#;
    assert_snapshot!(errors(text), @r"
    f:1:1: `source` is a table, expected a list of tables (config-wrong-type)
     1 | [source]
       | ^^^^^^^^
       = write `[[source]]` above each of them
    ");
}

#[test]
fn values_where_tables_belong() {
    let text = r#"
book = 3
[teams]
a = 4
[[key]]
name = 5
team = "a"
"#;
    assert_snapshot!(errors(text), @r#"
    f:1:8: `book` is a whole number, expected a table `[book]` (config-wrong-type)
     1 | book = 3
       |        ^
    f:3:5: `a` is a whole number, expected a table `[teams.a]` (config-wrong-type)
     3 | a = 4
       |     ^
    f:5:8: `name` is a whole number, expected a text in quotes (config-wrong-type)
     5 | name = 5
       |        ^
       = put it in quotes: `"5"`
    "#);
}

#[test]
fn keys_of_small_tables() {
    let text = r#"
[mail]
subject = "x"
[privacy]
user = "drop"
[run]
url = "x"
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:1: unknown key `subject` in `[mail]` (config-unknown-key)
     2 | subject = "x"
       | ^^^^^^^
       = `[mail]` has `ca_file`, `from`, `hello_name`, `host`, `max_per_minute`, `password_env`, `password_file`, `port`, `security`, `timeout`, `transport`, `username` and `weekly_on`
    f:4:1: unknown key `user` in `[privacy]`, did you mean `users`? (config-unknown-key)
     4 | user = "drop"
       | ^^^^
       = `[privacy]` has `users`
    f:6:1: unknown key `url` in `[run]` (config-unknown-key)
     6 | url = "x"
       | ^^^
       = `[run]` has `budget_state` and `ping_url`
    "#);
}

#[test]
fn settings_of_the_book() {
    let text = r#"
[book]
path = ""
pricing = 7
week_start = "mon"
keep = { usage = "400", charge = "1d" }
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:8: `path` is empty, expected the path of a directory in quotes (config-empty)
     2 | path = ""
       |        ^^
    f:3:11: `pricing` is a whole number, expected the path of a directory in quotes (config-wrong-type)
     3 | pricing = 7
       |           ^
       = put it in quotes: `"7"`
    f:4:14: `week_start` is `mon`, expected `monday`, `tuesday`, `wednesday`, `thursday`, `friday`, `saturday` or `sunday` (config-bad-value)
     4 | week_start = "mon"
       |              ^^^^^
    f:5:18: `usage` is `400`, expected a number of days or weeks like "400d" or "60w" (config-bad-value)
     5 | keep = { usage = "400", charge = "1d" }
       |                  ^^^^^
    f:5:25: unknown key `charge` in `[book.keep]`, did you mean `charges`? (config-unknown-key)
     5 | keep = { usage = "400", charge = "1d" }
       |                         ^^^^^^
       = `[book.keep]` has `charges`, `quarantine`, `rollup`, `runs`, `totals`, `unlogged`, `usage` and `violations`
    "#);
}

#[test]
fn places_and_zones() {
    let text = r#"
[book]
path = "s3://bucket/book"
timezone = "Berlin"
[teams.a]
timezone = "Mars/Olympus"
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:8: `path` is `s3://bucket/book`, expected the path of a directory on this machine (config-bad-value)
     2 | path = "s3://bucket/book"
       |        ^^^^^^^^^^^^^^^^^^
    f:3:12: `timezone` is `Berlin`, expected an IANA time zone, did you mean `Europe/Berlin`? (config-unknown-timezone)
     3 | timezone = "Berlin"
       |            ^^^^^^^^
       = write one like `UTC`, `Europe/Berlin` or `America/New_York`
    f:5:12: `timezone` is `Mars/Olympus`, expected an IANA time zone (config-unknown-timezone)
     5 | timezone = "Mars/Olympus"
       |            ^^^^^^^^^^^^^^
       = write one like `UTC`, `Europe/Berlin` or `America/New_York`
    "#);
}

#[test]
fn thresholds() {
    let text = r"
[organization]
thresholds = [0, 50, 5000]
owners = []
";
    assert_snapshot!(errors(text), @r"
    f:2:15: item 1 of `thresholds` is `0`, expected 1 to 1000 (config-out-of-range)
     2 | thresholds = [0, 50, 5000]
       |               ^
    f:2:22: item 3 of `thresholds` is `5000`, expected 1 to 1000 (config-out-of-range)
     2 | thresholds = [0, 50, 5000]
       |                      ^^^^
    f:3:1: unknown key `owners` in `[organization]` (config-unknown-key)
     3 | owners = []
       | ^^^^^^
       = `[organization]` has `budget`, `finance`, `monthly_budget_usd`, `name`, `operators`, `rate_limit_rpm`, `rate_limit_tpm` and `thresholds`
    ");
}

#[test]
fn limits_and_models() {
    let text = r#"
[teams.a]
allowed_models = "llama"
[teams.b]
allowed_models = []
rate_limit_rpm = 0
rate_limit_tpm = "60"
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:18: `allowed_models` is a text, expected a list of texts (config-wrong-type)
     2 | allowed_models = "llama"
       |                  ^^^^^^^
       = put it in brackets: `["llama"]`
    f:4:18: `allowed_models` is empty, expected at least one model, or no such key to allow all (config-empty)
     4 | allowed_models = []
       |                  ^^
    f:5:18: `rate_limit_rpm` is `0`, expected 1 to 1000000000000 (config-out-of-range)
     5 | rate_limit_rpm = 0
       |                  ^
    f:6:18: `rate_limit_tpm` is a text, expected a whole number (config-wrong-type)
     6 | rate_limit_tpm = "60"
       |                  ^^^^
       = write 60 without the quotes
    "#);
}

#[test]
fn addresses_and_former_names() {
    let text = r#"
[teams.a]
owners = ["lead", "x@y.z", "X@y.z"]
formerly = ["b"]
[teams.b]
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:11: item 1 of `owners` is `lead`, expected a mail address like "name@example.com" or "Name <name@example.com>" (config-bad-value)
     2 | owners = ["lead", "x@y.z", "X@y.z"]
       |           ^^^^^^
    f:2:28: item 3 of `owners` is `X@y.z`, expected each address once (config-bad-value)
     2 | owners = ["lead", "x@y.z", "X@y.z"]
       |                            ^^^^^^^
    f:3:12: the team name `b` is there twice, first on line 4 (config-duplicate)
     3 | formerly = ["b"]
       |            ^^^^^
       = give one of them another name
    "#);
}

#[test]
fn small_tables() {
    let text = r#"
[run]
ping_url = "ftp://x"
[privacy]
users = "hashed"
[reconcile]
budget_unlogged = "yes"
tolerance_percent = 0.5
tolerance_usd = "-1"
[reconcile.more]
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:12: `ping_url` is `ftp://x`, expected a URL that begins with `https://` or `http://` (config-bad-value)
     2 | ping_url = "ftp://x"
       |            ^^^^^^^^^
    f:4:9: `users` is `hashed`, expected `plain`, `hash` or `drop`, did you mean `hash`? (config-bad-value)
     4 | users = "hashed"
       |         ^^^^^^^^
    f:6:19: `budget_unlogged` is a text, expected `true` or `false` without quotes (config-wrong-type)
     6 | budget_unlogged = "yes"
       |                   ^^^^^
    f:7:21: `tolerance_percent` is a number with a fraction, expected a percentage from 0 to 100 like "1" or "0.5" (config-wrong-type)
     7 | tolerance_percent = 0.5
       |                     ^^^
    f:8:17: `tolerance_usd` is `-1`, expected an amount like "0.01", 0 or more (config-bad-value)
     8 | tolerance_usd = "-1"
       |                 ^^^^
    f:9:12: unknown key `more` in `[reconcile]` (config-unknown-key)
     9 | [reconcile.more]
       |            ^^^^
       = `[reconcile]` has `budget_unlogged`, `tolerance_percent` and `tolerance_usd`
    "#);
}

#[test]
fn amounts_that_are_not_exact() {
    let text = r#"
[organization]
monthly_budget_usd = 199.99
[teams.a]
monthly_budget_usd = "$1,000"
[teams.b]
monthly_budget_usd = 0
[teams.c]
monthly_budget_usd = "0.0000000000001"
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:22: `monthly_budget_usd` is the float `199.99`, expected an amount in quotes or a whole number (config-float-amount)
     2 | monthly_budget_usd = 199.99
       |                      ^^^^^^
       = write `monthly_budget_usd = "199.99"`, since binary floats do not hold money exactly
    f:4:22: `monthly_budget_usd` is `$1,000`, expected an amount in US dollars like "200" or "199.99", did you mean `1000`? (config-bad-value)
     4 | monthly_budget_usd = "$1,000"
       |                      ^^^^^^^^
    f:6:22: `monthly_budget_usd` is `0`, expected an amount above 0 and below 10^12, or no such key for no budget (config-bad-value)
     6 | monthly_budget_usd = 0
       |                      ^
    f:8:22: `monthly_budget_usd` is `0.0000000000001`, expected an amount with at most 12 digits after the point (config-bad-value)
     8 | monthly_budget_usd = "0.0000000000001"
       |                      ^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn budgets_of_one_period() {
    let text = r#"
[teams.a]
monthly_budget_usd = "1"
[[teams.a.budget]]
period = "month"
amount_usd = 5
[[teams.a.budget]]
period = "year"
"#;
    assert_snapshot!(errors(text), @r#"
    f:3:1: a second budget per month from the same day on, the first one is on line 2 (config-duplicate)
     3 | [[teams.a.budget]]
       | ^^^^^^^^^^^^^^^^^^
       = remove one, or give one a `valid_from` to change the amount then
    f:6:1: `amount_usd` is missing in `[[teams.a.budget]]`, expected an amount in US dollars in quotes (config-missing)
     6 | [[teams.a.budget]]
       | ^^^^^^^^^^^^^^^^^^
    f:7:10: `period` is `year`, expected `day`, `week`, `month` or `quarter` (config-bad-value)
     7 | period = "year"
       |          ^^^^^^
    "#);
}

#[test]
fn keys_in_the_config() {
    let text = r#"
# gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef
[teams.a]
[[key]]
name = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef"
team = "a"
fingerprint = "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef"
"#;
    assert_snapshot!(errors(text), @r#"
    f:1:3: a secret is in the config, expected it in the environment or in a file (config-secret)
     1 | # fp_ca9d12018255
       |   ^^^^^^^^^^^^^^^
       = remove it and revoke it, for others may have seen this file; a key is known by its name or by a `fingerprint`
    f:4:9: a secret is in the config, expected it in the environment or in a file (config-secret)
     4 | name = …
       |        ^
       = remove it and revoke it, for others may have seen this file; a key is known by its name or by a `fingerprint`
    f:6:15: a secret is in the config, expected it in the environment or in a file (config-secret)
     6 | fingerprint = …
       |               ^
       = write its fingerprint instead: `fingerprint = "fp_ca9d12018255"`
    "#);
}

#[test]
fn text_whose_tables_can_be_told_apart() {
    let text = r#"
[book]
timezone = UTC
pathh = "x"
[book]
path = 3
"#;
    assert_snapshot!(errors(text), @r#"
    f:2:12: not TOML: a text without quotes (config-syntax)
     2 | timezone = UTC
       |            ^^^
       = put it in quotes: `"…"`
    f:3:1: unknown key `pathh` in `[book]`, did you mean `path`? (config-unknown-key)
     3 | pathh = "x"
       | ^^^^^
       = `[book]` has `default_rate_limit_rpm`, `environments`, `keep`, `path`, `pricing`, `timezone` and `week_start`
    f:4:2: `book` is defined twice (config-duplicate)
     4 | [book]
       |  ^^^^
       = merge the two, or remove one
    f:5:8: `path` is a whole number, expected the path of a directory in quotes (config-wrong-type)
     5 | path = 3
       |        ^
       = put it in quotes: `"3"`
    "#);
}

#[test]
fn text_whose_tables_cannot() {
    let text = r#"
[book
pathh = "x"
[organization]
name = "x
"#;
    assert_snapshot!(errors(text), @r#"
    f:1:6: not TOML: unclosed table, expected `]` (config-syntax)
     1 | [book
       |      ^
       = correct it first: what the tables say is checked once they can be told apart
    f:4:10: not TOML: invalid basic string, expected `"` (config-syntax)
     4 | name = "x
       |          ^
       = correct it first: what the tables say is checked once they can be told apart
    "#);
}

#[test]
fn a_cap_on_nothing() {
    let text = r#"
[[teams.a.budget]]
period = "month"
amount_usd = "10"
rollover_cap_usd = "5"
"#;
    assert_snapshot!(errors(text), @r#"
    f:4:20: `rollover_cap_usd` is there without `rollover`, expected `rollover = true` beside it (config-conflict)
     4 | rollover_cap_usd = "5"
       |                    ^^^
    "#);
}
