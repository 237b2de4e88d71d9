//! Broken `[mail]` and `[run]` beside exactly what is said about them.

use insta::assert_snapshot;

use super::errors;

#[test]
fn mail_server() {
    let text = r#"
[mail]
transport = "smtp"
password = "hunter2"
port = 99999
from = "me"
username = "x"
hello_name = "me@home"
timeout = "1h"
max_per_minute = 0
"#;
    assert_snapshot!(errors(text), @r#"
    f:1:1: `host` is missing in `[mail]`, expected the mail server's name (config-missing)
     1 | [mail]
       | ^^^^^^
    f:3:1: a secret is in the config, expected it in the environment or in a file (config-secret)
     3 | password = …
       | ^^^^^^^^^^^^
       = set `password_env` to the name of an environment variable, or `password_file` to a file
    f:4:8: `port` is `99999`, expected 1 to 65535 (config-out-of-range)
     4 | port = 99999
       |        ^^^^^
    f:5:8: `from` is `me`, expected a mail address like "name@example.com" or "Name <name@example.com>" (config-bad-value)
     5 | from = "me"
       |        ^^^^
    f:6:12: `username` is there without a password, expected `password_env` or `password_file` beside it (config-conflict)
     6 | username = "x"
       |            ^^^
    f:7:14: `hello_name` is `me@home`, expected a host name like "books.example.com" (config-bad-value)
     7 | hello_name = "me@home"
       |              ^^^^^^^^^
    f:8:11: `timeout` is `1h`, expected a time like "30s" or "2m", up to 10 minutes (config-bad-value)
     8 | timeout = "1h"
       |           ^^^^
    f:9:18: `max_per_minute` is `0`, expected 1 to 60000 (config-out-of-range)
     9 | max_per_minute = 0
       |                  ^
    "#);
}

#[test]
fn passwords_in_the_config() {
    let text = r#"
[mail]
username = "x"
password_env = "hun ter2"
password_file = "f"
host = "smtp://x"
[run]
ping_url = "https://me:hunter2@example.com"
"#;
    assert_snapshot!(errors(text), @r#"
    f:3:16: a secret is in the config, expected it in the environment or in a file (config-secret)
     3 | password_env = …
       |                ^
       = `password_env` is the name of an environment variable, like `SMTP_PASSWORD`, not the password
    f:4:17: both `password_env` and `password_file` are there, expected one of them (config-conflict)
     4 | password_file = "f"
       |                 ^^^
    f:5:8: `host` is `smtp://x`, expected a host name like "smtp.example.com" (config-bad-value)
     5 | host = "smtp://x"
       |        ^^^^^^^^^^
    f:7:12: a secret is in the config, expected it in the environment or in a file (config-secret)
     7 | ping_url = …
       |            ^
       = use a URL without a name and password in it, such as one with a long random path
    "#);
}
