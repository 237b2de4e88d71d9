//! The files that `spendbook init` writes.

/// Which set of files to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Template {
    /// A config to start with, and a cron line.
    #[default]
    Basic,
    /// Teams, keys, limits and mail, and every way to run it at night.
    Production,
}

impl Template {
    pub const ALL: [Self; 2] = [Self::Basic, Self::Production];

    /// The name under which the command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Production => "production",
        }
    }
}

/// The files of a template, with their paths below the new directory. The
/// price book is not among them: it is the one that the program comes with.
#[must_use]
pub const fn files(template: Template) -> &'static [(&'static str, &'static str)] {
    match template {
        Template::Basic => {
            &[(CONFIG, include_str!("templates/basic.toml")), SCHEDULES[0], SCHEDULES[1], SCHEDULES[2], SCHEDULES[3]]
        }
        Template::Production => &[
            (CONFIG, include_str!("templates/production.toml")),
            SCHEDULES[0],
            SCHEDULES[1],
            SCHEDULES[2],
            SCHEDULES[3],
        ],
    }
}

pub const CONFIG: &str = "spendbook.toml";

/// How to run it every night.
const SCHEDULES: [(&str, &str); 4] = [
    ("deploy/spendbook.cron", include_str!("templates/spendbook.cron")),
    ("deploy/spendbook.service", include_str!("templates/spendbook.service")),
    ("deploy/spendbook.timer", include_str!("templates/spendbook.timer")),
    ("deploy/kubernetes-cronjob.yaml", include_str!("templates/kubernetes-cronjob.yaml")),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Holder};

    fn config(template: Template) -> Config {
        let (path, text) = files(template)[0];
        Config::parse(text, Path::new(path)).unwrap_or_else(|errors| panic!("{}:\n{errors}", template.name()))
    }

    #[test]
    fn both_templates_hold_the_starter_values() {
        for template in Template::ALL {
            let config = config(template);
            let teams: Vec<String> = config
                .teams
                .values()
                .map(|team| {
                    let models = team.policy.allowed_models.as_ref().map_or(0, Vec::len);
                    let (tokens, rpm) = (team.policy.max_tokens_per_request, team.policy.rate_limit_rpm);
                    format!("{} {} {models} {tokens:?} {rpm:?}", team.name, team.budgets[0].amount)
                })
                .collect();
            assert_eq!(
                teams,
                [
                    "analytics 50.000000000000 1 Some(512) Some(30)",
                    "chatbot 200.000000000000 2 Some(2048) Some(60)",
                    "research 500.000000000000 3 Some(4096) Some(120)",
                ]
            );
            let keys: Vec<_> = config
                .keys
                .iter()
                .map(|key| {
                    assert!(matches!(key.holder, Holder::Team(_)));
                    (key.name.as_str(), key.policy.rate_limit_rpm, key.policy.rate_limit_tpm)
                })
                .collect();
            assert_eq!(
                keys,
                [
                    ("chatbot-prod", Some(500), Some(100_000)),
                    ("chatbot-staging", None, None),
                    ("analytics-prod", None, None),
                    ("batch-processor", Some(60), Some(500_000)),
                ]
            );
            assert_eq!(config.organization.thresholds, [50, 80, 95, 100]);
        }
    }

    /// What a user gets by removing the `#` of every example.
    #[test]
    fn the_examples_in_the_comments_are_right_too() {
        for template in Template::ALL {
            let (path, text) = files(template)[0];
            let uncommented: String = text
                .lines()
                .map(|line| {
                    let example = line.strip_prefix("# ").filter(|rest| {
                        rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
                    });
                    format!("{}\n", example.unwrap_or(line))
                })
                .collect();
            assert_ne!(uncommented, text);
            if let Err(errors) = Config::parse(&uncommented, Path::new(path)) {
                panic!("{}:\n{errors}", template.name());
            }
        }
    }
}
