//! What comes from outside the file: where the config is, and secrets.
//!
//! The only place that reads environment variables. A secret is read at the
//! moment it is needed and is shown by nothing, not even `Debug`.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use super::{problem::Problem, reader::Item};

/// Names the config file, where `--config` does not.
pub const CONFIG_VARIABLE: &str = "SPENDBOOK_CONFIG";

/// The config file: the flag, else `$SPENDBOOK_CONFIG`, else `./spendbook.toml`.
#[must_use]
pub fn locate(flag: Option<PathBuf>) -> PathBuf {
    choose(flag, env::var_os(CONFIG_VARIABLE).map(PathBuf::from))
}

/// A variable that is set to nothing is not set.
fn choose(flag: Option<PathBuf>, variable: Option<PathBuf>) -> PathBuf {
    flag.or(variable.filter(|path| !path.as_os_str().is_empty())).unwrap_or_else(|| PathBuf::from("spendbook.toml"))
}

/// Where a secret is kept, outside the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// The name of an environment variable.
    Env(String),
    /// A file, relative to the config's directory.
    File(PathBuf),
}

/// A secret. Shown as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the environment variable `{name}` is not set, expected the secret in it")]
    NotSet { name: String },
    #[error("the environment variable `{name}` is empty or not UTF-8, expected the secret in it")]
    NotText { name: String },
    #[error("cannot read the secret from `{}`: {cause}", path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error("`{}` is empty, expected the secret in it", path.display())]
    EmptyFile { path: PathBuf },
}

impl SecretFrom {
    /// Reads the secret; `dir` is the config's directory. The line end that
    /// editors put at the end of a file is no part of it.
    ///
    /// # Errors
    /// Where there is none. The message never contains any of it.
    pub fn read(&self, dir: &Path) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => {
                let value = env::var_os(name).ok_or_else(|| SecretError::NotSet { name: name.clone() })?;
                let value = value.into_string().ok().filter(|value| !value.is_empty());
                value.map(Secret).ok_or_else(|| SecretError::NotText { name: name.clone() })
            }
            Self::File(file) => {
                let path = dir.join(file);
                let text =
                    fs::read_to_string(&path).map_err(|cause| SecretError::File { path: path.clone(), cause })?;
                let secret = text.trim_end_matches(['\r', '\n']);
                if secret.is_empty() { Err(SecretError::EmptyFile { path }) } else { Ok(Secret(secret.to_owned())) }
            }
        }
    }
}

impl Secret {
    /// The secret itself, for the one who must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is, by the two keys that can say so; `names` are theirs, and a
/// variable's as an example.
pub(super) fn one_secret(
    env: Option<&Item<'_>>,
    file: Option<&Item<'_>>,
    names: [&'static str; 3],
) -> Option<SecretFrom> {
    let [env_key, file_key, _] = names;
    let variable = env.and_then(|item| env_name(item, names));
    match (env, file) {
        (Some(_), Some(file)) => {
            file.add(Problem::Conflict {
                found: format!("both `{env_key}` and `{file_key}` are there"),
                expected: "one of them".to_owned(),
            });
            None
        }
        (Some(_), None) => variable.map(SecretFrom::Env),
        (None, Some(file)) => file.text().map(|path| SecretFrom::File(PathBuf::from(path))),
        (None, None) => None,
    }
}

/// The name of an environment variable; a secret written in its place must not
/// be shown.
fn env_name(item: &Item<'_>, [key, _, example]: [&'static str; 3]) -> Option<String> {
    let text = item.raw_text().unwrap_or_default();
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit());
    if !is_name {
        let what = key.trim_end_matches("_env");
        item.add(Problem::Secret {
            advice: format!("`{key}` is the name of an environment variable, like `{example}`, not the {what}"),
        });
    }
    is_name.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_variable_before_the_default() {
        let check = |flag: Option<&str>, variable: Option<&str>, expect: &str| {
            assert_eq!(choose(flag.map(PathBuf::from), variable.map(PathBuf::from)), Path::new(expect));
        };
        check(Some("a.toml"), Some("b.toml"), "a.toml");
        check(None, Some("b.toml"), "b.toml");
        check(None, Some(""), "spendbook.toml");
        check(None, None, "spendbook.toml");
    }

    #[test]
    fn a_secret_is_read_from_a_file_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("smtp"), "hunter2\r\n").unwrap();
        fs::write(dir.path().join("empty"), "\n").unwrap();
        let secret = SecretFrom::File(PathBuf::from("smtp")).read(dir.path()).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        let error = SecretFrom::File(PathBuf::from("empty")).read(dir.path()).unwrap_err();
        assert!(matches!(error, SecretError::EmptyFile { .. }), "{error}");
        let error = SecretFrom::Env("SPENDBOOK_TEST_NEVER_SET".to_owned()).read(dir.path()).unwrap_err();
        assert!(matches!(error, SecretError::NotSet { .. }), "{error}");
    }
}
