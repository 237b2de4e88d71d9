//! Broken sources beside exactly what is said about them.

use insta::assert_snapshot;

use super::errors;

#[test]
fn source_names_formats_and_paths() {
    let text = r#"
[[source]]
name = "g"
format = "opnai"
path = ""
[[source]]
name = "G"
format = "auto"
path = "https://x/y"
[[source]]
name = "a/b"
format = "auto"
"#;
    assert_snapshot!(errors(text), @r#"
    f:3:10: unknown format `opnai`, did you mean `openai`? (config-unknown-format)
     3 | format = "opnai"
       |          ^^^^^^^
       = the formats are `native`, `openai`, `litellm`, `custom` and `auto`
    f:4:8: `path` is empty, expected a path or a glob like "logs/*.jsonl" (config-empty)
     4 | path = ""
       |        ^^
    f:6:8: the source `G` is there twice, first on line 2 (config-duplicate)
     6 | name = "G"
       |        ^^^
       = give one of them another name
    f:8:8: `path` is `https://x/y`, expected a path or a glob on this machine: an address is a `url`, and the `format` one that is asked over HTTP (config-bad-value)
     8 | path = "https://x/y"
       |        ^^^^^^^^^^^^^
    f:9:1: `path` is missing in `[[source]]`, expected where the logs are, like "logs/*.jsonl" (config-missing)
     9 | [[source]]
       | ^^^^^^^^^^
    f:10:8: `name` is `a/b`, expected letters, digits, `-`, `_` and `.`, since it names a directory (config-bad-value)
     10 | name = "a/b"
        |        ^^^^^
    "#);
}

#[test]
fn custom_fields() {
    let text = r#"
[[source]]
format = "custom"
path = "x["
silent_after = "36"
[source.fields]
ts = { field = "/t", format = "%Q" }
latency_ms = "/l"
input_tokens = "/a"
prompt_tokens = "/b"
request_id = { value = "x" }
model = {}
status = { value = "ok" }
key = { field = "/k", unit = "s" }
"#;
    assert_snapshot!(errors(text), @r#"
    f:1:1: `name` is missing in `[[source]]`, expected a name for this source (config-missing)
     1 | [[source]]
       | ^^^^^^^^^^
    f:3:8: `path` is `x[`, expected a path or a glob: invalid range pattern (config-bad-value)
     3 | path = "x["
       |        ^^^^
    f:4:16: `silent_after` is `36`, expected a span of time like "36h", "90m" or "2d" (config-bad-value)
     4 | silent_after = "36"
       |                ^^^^
    f:5:1: `provider` is missing in `[source.fields]`, expected where the provider stands, or `provider = "…"` in `[[source]]` (config-missing)
     5 | [source.fields]
       | ^^^^^^^^^^^^^^^
    f:6:31: `format` is `%Q`, expected `auto`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` or a pattern like "%Y-%m-%d %H:%M:%S" (config-bad-value)
     6 | ts = { field = "/t", format = "%Q" }
       |                               ^^^^
    f:7:1: unknown key `latency_ms` in `[source.fields]`, did you mean `latency`? (config-unknown-key)
     7 | latency_ms = "/l"
       | ^^^^^^^^^^
    f:9:17: `prompt_tokens` is the same as `input_tokens` on line 8, expected one of them (config-conflict)
     9 | prompt_tokens = "/b"
       |                 ^^^^
    f:10:24: `value` is `x`, expected no constant, since it differs from record to record: use `field` (config-bad-value)
     10 | request_id = { value = "x" }
        |                        ^^^
    f:11:9: neither `field` nor `value` is there, expected `field`, where it stands, or `value`, what it always is (config-conflict)
     11 | model = {}
        |         ^^
    f:12:20: `value` is `ok`, expected `success`, `error`, `partial`, `cancelled` or `blocked` (config-bad-value)
     12 | status = { value = "ok" }
        |                    ^^^^
    f:13:23: unknown key `unit` in `[source.fields.key]` (config-unknown-key)
     13 | key = { field = "/k", unit = "s" }
        |                       ^^^^
        = `[source.fields.key]` has `field` and `value`
    "#);
}

#[test]
fn custom_options_elsewhere() {
    let text = r#"
[[source]]
name = "g"
format = "openai"
path = "x"
cache = "beside"
[[source]]
name = "h"
format = "custom"
path = "x"
"#;
    assert_snapshot!(errors(text), @r#"
    f:5:9: `cache` is there with `format = "openai"`, expected `format = "custom"`, the only one that it says something to (config-conflict)
     5 | cache = "beside"
       |         ^^^^^^^^
    f:6:1: `fields` is missing in `[[source]]`, expected a table `[source.fields]` that says where each field stands (config-missing)
     6 | [[source]]
       | ^^^^^^^^^^
    "#);
}
