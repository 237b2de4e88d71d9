//! Broken keys and pools beside exactly what is said about them.

use insta::assert_snapshot;

use super::errors;

#[test]
fn holders_of_keys() {
    let text = r#"
[teams.chatbot]
formerly = ["assistant"]
[[key]]
name = "k"
team = "chatbto"
[[key]]
name = "l"
team = "assistant"
[[key]]
name = "m"
team = "chatbot"
pool = "p"
[[key]]
name = "n"
[[key]]
name = "o"
pool = "p"
replaces = "o"
"#;
    assert_snapshot!(errors(text), @r#"
    f:5:8: unknown team `chatbto`, did you mean `chatbot`? (config-unknown-team)
     5 | team = "chatbto"
       |        ^^^^^^^^^
       = add a table `[teams.chatbto]`, or correct the name
    f:8:8: unknown team `assistant`, did you mean `chatbot`? (config-unknown-team)
     8 | team = "assistant"
       |        ^^^^^^^^^^^
       = add a table `[teams.assistant]`, or correct the name
    f:12:8: both `team` and `pool` are there, expected one of them (config-conflict)
     12 | pool = "p"
        |        ^^^
    f:13:1: `team` is missing in `[[key]]`, expected the team that the key belongs to, or `pool` for a shared key (config-missing)
     13 | [[key]]
        | ^^^^^^^
    f:17:8: unknown pool `p` (config-unknown-pool)
     17 | pool = "p"
        |        ^^^
        = add a table `[pools.p]`, or correct the name
    f:18:12: `replaces` names the key itself, expected the name of the key that this one takes over from (config-conflict)
     18 | replaces = "o"
        |            ^^^
    "#);
}

#[test]
fn the_id_of_a_key_is_its_own_and_not_the_key() {
    let text = r#"
[teams.a]
[[key]]
name = "k"
team = "a"
key_id = "key_01AbC"
[[key]]
name = "l"
team = "a"
key_id = "key_01AbC"
"#;
    assert_snapshot!(errors(text), @r#"
    f:9:10: two keys with the id `key_01AbC` have dates that overlap, the other one is on line 5 (config-overlapping-keys)
     9 | key_id = "key_01AbC"
       |          ^^^^^^^^^^^
       = give the older one a `valid_until` that is not after the newer one's `valid_from`
    "#);
    let secret = text.replacen("key_01AbC", "gsk_Q2Fu4ryCanaryCanaryCanary0123456789abcdef", 1);
    assert!(!errors(&secret).contains("Canary"), "{}", errors(&secret));
}

#[test]
fn dates_and_fingerprints_of_keys() {
    let text = r#"
[teams.a]
[[key]]
name = "k"
team = "a"
valid_until = "2026-03-01"
fingerprint = "fp_0123456789ab"
[[key]]
name = "k"
team = "a"
valid_from = "2026-02-28T23:59:59Z"
[[key]]
name = "l"
team = "a"
fingerprint = "fp_0123456789ab"
valid_from = "2026-02-01"
valid_until = 2026-01-01
[[key]]
name = "m"
team = "a"
fingerprint = "fp_xyz"
valid_from = "1/2/2026"
"#;
    assert_snapshot!(errors(text), @r#"
    f:8:8: two keys named `k` have dates that overlap, the other one is on line 3 (config-overlapping-keys)
     8 | name = "k"
       |        ^^^
       = give the older one a `valid_until` that is not after the newer one's `valid_from`
    f:14:15: two keys with the fingerprint `fp_0123456789ab` have dates that overlap, the other one is on line 6 (config-overlapping-keys)
     14 | fingerprint = "fp_0123456789ab"
        |               ^^^^^^^^^^^^^^^^^
        = give the older one a `valid_until` that is not after the newer one's `valid_from`
    f:16:15: `valid_until` is 2026-01-01T00:00:00Z, expected a time after `valid_from`, 2026-02-01T00:00:00Z (config-reversed-dates)
     16 | valid_until = 2026-01-01
        |               ^^^^^^^^^^
    f:20:15: `fingerprint` is `fp_xyz`, expected `fp_` and 12 hex digits, as logs and `spendbook keys` show it, or a SHA-256 in hex (config-bad-value)
     20 | fingerprint = "fp_xyz"
        |               ^^^^^^^^
    f:21:14: `valid_from` is `1/2/2026`, expected a date like "2026-01-31" or a time like "2026-01-31T08:00:00Z", from 2020 to 2100 (config-bad-value)
     21 | valid_from = "1/2/2026"
        |              ^^^^^^^^^^
    "#);
}

#[test]
fn shares_of_pools() {
    let text = r#"
[teams.a]
[teams.b]
[pools.p]
a = 60
b = 39
[pools.q]
a = "33.333333"
b = 66.7
c = 1
[pools.r]
shares = { a = "33.3", b = "66.6" }
owner = "x"
"#;
    assert_snapshot!(errors(text), @r#"
    f:3:8: the shares of the pool `p` sum to 99, expected exactly 100 (config-shares-sum)
     3 | [pools.p]
       |        ^
    f:8:5: `b` is `66.7`, expected a share in percent like `60` or `"33.34"` (config-bad-value)
     8 | b = 66.7
       |     ^^^^
    f:9:1: unknown team `c` (config-unknown-team)
     9 | c = 1
       | ^
       = add a table `[teams.c]`, or correct the name
    f:10:8: the shares of the pool `r` sum to 99.9, expected exactly 100 (config-shares-sum)
     10 | [pools.r]
        |        ^
    f:12:1: unknown key `owner` in `[pools.r]` (config-unknown-key)
     12 | owner = "x"
        | ^^^^^
        = `[pools.r]` has `shares`
    "#);
}
