//! `docs/spendbook.schema.json`, held against the reader of the config: the
//! same keys in every table, the same words, and every config that we ship is
//! one by the schema, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;
use spendbook::config::{
    Config, FORMATS, Problem, TOTALS_FORMATS,
    templates::{Template, files},
};

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/spendbook.schema.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Every table of a config, by its place in the schema, and a config in which
/// `zz` stands in it, which is no key anywhere.
const TABLES: &[(&str, &str)] = &[
    ("", "zz = 1"),
    ("/properties/book", "[book]\nzz = 1"),
    ("/properties/book/properties/keep/anyOf/1", "[book.keep]\nzz = 1"),
    ("/properties/organization", "[organization]\nzz = 1"),
    ("/properties/mail", "[mail]\nzz = 1"),
    ("/properties/privacy", "[privacy]\nzz = 1"),
    ("/properties/reconcile", "[reconcile]\nzz = 1"),
    ("/properties/run", "[run]\nzz = 1"),
    ("/definitions/budget", "[[organization.budget]]\nzz = 1"),
    ("/definitions/budget", "[[teams.search.budget]]\nzz = 1"),
    ("/definitions/source", "[[source]]\nzz = 1"),
    ("/definitions/source/properties/fields", "[[source]]\nformat = \"custom\"\n[source.fields]\nzz = 1"),
    ("/definitions/mapped/anyOf/1", "[[source]]\nformat = \"custom\"\n[source.fields]\nmodel = { zz = 1 }"),
    ("/definitions/mapped_time/anyOf/1", "[[source]]\nformat = \"custom\"\n[source.fields]\nts = { zz = 1 }"),
    ("/definitions/mapped_span/anyOf/1", "[[source]]\nformat = \"custom\"\n[source.fields]\nlatency = { zz = 1 }"),
    (
        "/definitions/mapped_cost/anyOf/1",
        "[[source]]\nformat = \"custom\"\n[source.fields]\nreported_cost = { zz = 1 }",
    ),
    ("/definitions/team", "[teams.search]\nzz = 1"),
    ("/definitions/key", "[[key]]\nzz = 1"),
    ("/definitions/model", "[models.m]\nzz = 1"),
    ("/definitions/budget", "[[key]]\n[[key.budget]]\nzz = 1"),
    ("/definitions/budget", "[[models.m.budget]]\nzz = 1"),
];

/// The keys that the reader of a config asks for where `zz` stands.
fn keys_read(text: &str) -> BTreeSet<String> {
    let errors = Config::parse(text, Path::new("spendbook.toml")).unwrap_err();
    let unknown = errors.errors().iter().find_map(|error| match &error.problem {
        Problem::UnknownKey { key, known, .. } if key == "zz" => Some(known.iter().cloned().collect()),
        _ => None,
    });
    unknown.unwrap_or_else(|| panic!("{text}:\n{errors}"))
}

fn keys_of(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_table_has_the_keys_that_are_read() {
    let schema = schema();
    for (place, text) in TABLES {
        assert_eq!(keys_of(schema.pointer(place).unwrap()), keys_read(text), "{place}");
        assert_eq!(schema.pointer(place).unwrap()["additionalProperties"], false, "{place}");
    }
    // And no table of the schema was left out above.
    let mut closed = Vec::new();
    find_closed(&schema, String::new(), &mut closed);
    let checked: BTreeSet<_> = TABLES.iter().map(|(place, _)| (*place).to_owned()).collect();
    assert_eq!(closed.into_iter().collect::<BTreeSet<_>>(), checked);
}

/// The places of all objects with a fixed list of keys.
fn find_closed(schema: &Value, place: String, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match schema {
        Value::Object(members) => members.iter().map(|(name, value)| (format!("{place}/{name}"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (format!("{place}/{at}"), value)).collect(),
        _ => return,
    };
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        found.push(place);
    }
    for (place, value) in children {
        find_closed(value, place, found);
    }
}

/// The tables of a config in the order of the page: heading, and place in the
/// schema.
const SECTIONS: &[(&str, &str)] = &[
    ("[book]", "/properties/book"),
    ("[[source]]", "/definitions/source"),
    ("[organization]", "/properties/organization"),
    ("[teams.NAME]", "/definitions/team"),
    ("[[key]]", "/definitions/key"),
    ("[pools]", "/properties/pools"),
    ("[models.\"NAME\"]", "/definitions/model"),
    (
        "[[organization.budget]], [[teams.NAME.budget]], [[key.budget]], [[models.\"NAME\".budget]]",
        "/definitions/budget",
    ),
    ("[mail]", "/properties/mail"),
    ("[privacy]", "/properties/privacy"),
    ("[reconcile]", "/properties/reconcile"),
    ("[run]", "/properties/run"),
];

#[test]
fn the_page_of_the_config_has_every_key() {
    let schema = schema();
    let mut page = HEAD.to_owned();
    for (heading, place) in SECTIONS {
        let table = schema.pointer(place).unwrap();
        page.push_str(&format!("\n## `{heading}`\n\n{}\n", table["description"].as_str().unwrap()));
        let Some(keys) = table["properties"].as_object() else { continue };
        let required = table["required"].as_array().cloned().unwrap_or_default();
        let is_required = |key: &str| required.contains(&Value::from(key));
        let (first, others): (Vec<_>, Vec<_>) = keys.iter().partition(|(key, _)| is_required(key));
        page.push_str("\n| key | what it takes | where it is not given | what it says |\n| --- | --- | --- | --- |\n");
        for (key, rule) in first.into_iter().chain(others) {
            let target = rule["$ref"].as_str().map(|name| schema.pointer(name.trim_start_matches('#')).unwrap());
            let doc = rule["description"].as_str().or_else(|| target?["description"].as_str()).unwrap_or_default();
            let absent = match &rule["default"] {
                Value::Null if is_required(key) => "it is needed".to_owned(),
                Value::Null => String::new(),
                default => format!("`{}`", default.to_string().replace(',', ", ")),
            };
            page.push_str(&format!("| `{key}` | {} | {absent} | {doc} |\n", taken(rule, &schema)));
        }
    }
    crate::docs::check_generated("CONFIG.md", &page);
    let named: BTreeSet<&str> = SECTIONS.iter().map(|(_, place)| *place).collect();
    for (place, _) in TABLES.iter().filter(|(place, _)| place.matches('/').count() == 2) {
        assert!(named.contains(place), "{place} is in no section");
    }
}

const HEAD: &str = "# The config, key by key

`spendbook init` writes a `spendbook.toml` with what a first night needs, and comments; `spendbook doctor` says what is wrong with one, each mistake with its line and a cure. This page has every key. It is generated from [spendbook.schema.json](spendbook.schema.json), which editors that know JSON Schema read, too: with Taplo, `#:schema spendbook.schema.json` in the first line completes and checks as you type.

Amounts stand in quotes (`\"199.99\"`), so that no binary fraction comes between; paths are relative to the config; secrets never stand in it, only the names of variables and files that hold them. Who says nothing of teams and keys gets books by key and by the team that the log names.

**Whose a request is** follows from its key, in this order: a `[[key]]` that holds at the time of the request; the convention, by which a key called `{team}-{environment}` or `{team}-{environment}-{purpose}` (such as `search-prod-eu`) is of `[teams.search]`, with the environments of `[book]`; the team that the log itself names; nobody.
";

/// What a key takes, in words.
fn taken(rule: &Value, schema: &Value) -> String {
    if let Some(name) = rule["$ref"].as_str() {
        return match name.trim_start_matches("#/definitions/") {
            "zone" => "a time zone, `\"Europe/Berlin\"`".to_owned(),
            "amount" => "US dollars, `\"199.99\"`".to_owned(),
            "date" => "a day or instant, `\"2026-01-31\"`".to_owned(),
            "days" => "a time, `\"400d\"`".to_owned(),
            _ => taken(schema.pointer(name.trim_start_matches('#')).unwrap(), schema),
        };
    }
    if let Some(words) = rule["enum"].as_array() {
        return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    if let Some(choices) = rule["anyOf"].as_array() {
        return choices.iter().map(|rule| taken(rule, schema)).collect::<Vec<_>>().join(", or ");
    }
    match &rule["type"] {
        Value::String(kind) if kind == "array" => format!("a list: {}", taken(&rule["items"], schema)),
        Value::String(kind) => match kind.as_str() {
            "string" => "text".to_owned(),
            "integer" => "a whole number".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "object" => "a table".to_owned(),
            other => panic!("what is `{other}`?"),
        },
        Value::Array(kinds) => {
            let each = kinds.iter().map(|kind| taken(&serde_json::json!({ "type": kind }), schema));
            each.collect::<Vec<_>>().join(" or ")
        }
        _ => panic!("what does {rule} take?"),
    }
}

#[test]
fn the_formats_are_the_ones_there_are() {
    let formats = schema().pointer("/definitions/source/properties/format/enum").cloned();
    assert_eq!(formats, Some(FORMATS.iter().chain(TOTALS_FORMATS).map(|&name| Value::from(name)).collect()));
}

/// Every word of every list of words is one that the reader takes, and it takes
/// no other: what it expects is in its message.
#[test]
fn lists_of_words_are_the_ones_that_are_read() {
    let schema = schema();
    let source = "[[source]]\nname = \"a\"\nformat = \"auto\"\npath = \"a\"";
    let cases = [
        ("/properties/book/properties/week_start", "[book]\nweek_start = \"zz\"".to_owned()),
        ("/properties/mail/properties/transport", "[mail]\ntransport = \"zz\"".to_owned()),
        ("/properties/mail/properties/security", "[mail]\nsecurity = \"zz\"".to_owned()),
        ("/properties/mail/properties/weekly_on", "[mail]\nweekly_on = \"zz\"".to_owned()),
        ("/properties/privacy/properties/users", "[privacy]\nusers = \"zz\"".to_owned()),
        ("/definitions/budget/properties/period", "[[organization.budget]]\nperiod = \"zz\"".to_owned()),
        ("/definitions/source/properties/role", format!("{source}\nrole = \"zz\"")),
        ("/definitions/source/properties/identity", format!("{source}\nidentity = \"zz\"")),
        (
            "/definitions/source/properties/cache",
            "[[source]]\nformat = \"custom\"\ncache = \"zz\"\n[source.fields]\nts = \"t\"".to_owned(),
        ),
    ];
    for (place, text) in cases {
        let words = schema.pointer(place).unwrap()["enum"].as_array().unwrap();
        let errors = Config::parse(&text, Path::new("spendbook.toml")).unwrap_err();
        let expected = errors.errors().iter().find_map(|error| match &error.problem {
            Problem::BadValue { found, expected, .. } if found == "zz" => Some(expected.clone()),
            _ => None,
        });
        let expected = expected.unwrap_or_else(|| panic!("{text}:\n{errors}"));
        let read: Vec<Value> = expected.split('`').skip(1).step_by(2).map(Value::from).collect();
        assert_eq!(words, &read, "{place}");
    }
}

/// What is wrong with a value by the schema. Knows the keywords that the schema
/// uses, and no others.
fn problems(value: &Value, schema: &Value, root: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is nowhere"));
        return problems(value, target, root, place, found);
    }
    for (keyword, rule) in schema.as_object().unwrap() {
        let is_met = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" | "definitions" | "additionalProperties" => true,
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_type(value, name)),
                name => is_type(value, name),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            "required" => rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "anyOf" => rule.as_array().unwrap().iter().any(|choice| {
                let mut wrong = Vec::new();
                problems(value, choice, root, place, &mut wrong);
                wrong.is_empty()
            }),
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    problems(item, rule, root, &format!("{place}[{at}]"), found);
                }
                true
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    let place = format!("{place}.{name}");
                    match rule.get(name).or_else(|| schema.get("additionalProperties")) {
                        Some(Value::Bool(false)) => found.push(format!("{place}: no such key")),
                        Some(rule) => problems(member, rule, root, &place, found),
                        None => {}
                    }
                }
                true
            }
            other => panic!("`{other}` is a keyword that no test understands"),
        };
        if !is_met {
            found.push(format!("{place}: `{keyword}` is not met by {value}"));
        }
    }
    if let (Some(rule), None, Some(members)) =
        (schema.get("additionalProperties"), schema.get("properties"), value.as_object())
    {
        members.iter().for_each(|(name, member)| problems(member, rule, root, &format!("{place}.{name}"), found));
    }
}

fn is_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("`{other}` is a type that no test understands"),
    }
}

fn wrong(text: &str) -> Vec<String> {
    let value: Value = toml::from_str(text).unwrap();
    let schema = schema();
    let mut found = Vec::new();
    problems(&value, &schema, &schema, "", &mut found);
    found
}

/// A template with the `#` of every example removed.
fn uncommented(text: &str) -> String {
    let is_example =
        |rest: &&str| rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    text.lines().map(|line| line.strip_prefix("# ").filter(is_example).unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_config_that_we_ship_is_one_by_the_schema() {
    let mut configs: BTreeMap<String, String> = BTreeMap::new();
    for template in Template::ALL {
        let text = files(template)[0].1;
        configs.insert(template.name().to_owned(), text.to_owned());
        configs.insert(format!("{} with its examples", template.name()), uncommented(text));
    }
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/demo/spendbook.toml");
    configs.insert("demo".to_owned(), fs::read_to_string(demo).unwrap());
    for (name, text) in configs {
        assert_eq!(wrong(&text), [""; 0], "{name}");
    }
}

#[test]
fn what_the_reader_refuses_the_schema_does_too() {
    for text in [
        "[bok]",
        "[book]\npath = 1",
        "[book]\nkeep = { usages = \"1d\" }",
        "[organization]\nthresholds = [0]",
        "[organization]\nmonthly_budget_usd = 1.5",
        "[[source]]\nname = \"a\"\npath = \"a\"",
        "[[source]]\nname = \"a\"\npath = \"a\"\nformat = \"jsonl\"",
        "[[source]]\nname = \"a\"\npath = \"a\"\nformat = \"custom\"\n[source.fields]\nts = { field = \"t\", unit = \"s\" }\nmodel = \"m\"",
        "[teams.search]\nowners = \"ada@example.com\"",
        "[[teams.search.budget]]\nperiod = \"year\"\namount_usd = \"1\"",
        "[pools.shared]\nsearch = true",
        "[mail]\nport = 70000",
    ] {
        assert!(Config::parse(text, Path::new("spendbook.toml")).is_err(), "{text}");
        assert_ne!(wrong(text), [""; 0], "{text}");
    }
}
