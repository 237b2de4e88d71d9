//! `report html` through the real binary: its figures against `top`, `status`
//! and an addition of the charges; names that would break out; what is left out
//! of large books; the same bytes for the same book; whose file it replaces.
//! What the page does in a browser, `tests/page/check.py` looks at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use spendbook::money::Usd;

use crate::{
    reconcile,
    support::{CONFIG, TestRun, rows_of_table},
};

const DEMO_NOW: &str = "2026-06-19T02:00:00Z";

/// A page as text, by parts.
struct Page {
    html: String,
    data: Value,
}

impl Page {
    fn of(html: String) -> Self {
        let (_, data) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let data = serde_json::from_str(data).unwrap();
        Self { html, data }
    }

    /// The rows of a table: the texts of their cells, a name without what is
    /// below it.
    fn rows(&self, section: &str) -> Vec<Vec<String>> {
        let Some((_, rest)) = self.html.split_once(&format!("<section class=\"card half\" id=\"{section}\"")) else {
            return Vec::new();
        };
        rows(rest.split_once("</section>").unwrap().0)
    }

    fn budgets(&self) -> Vec<Vec<String>> {
        let (_, rest) = self.html.split_once("id=\"budgets\"").unwrap();
        rows(rest.split_once("</section>").unwrap().0)
    }

    /// The rows of the table that a script would change under this name.
    fn live(&self, name: &str) -> Vec<Vec<String>> {
        let (_, rest) = self.html.split_once(&format!("data-live=\"{name}\"")).unwrap();
        rows(rest.split_once("</table>").unwrap().0)
    }

    fn more(&self, list: &str) -> &str {
        let (_, rest) = self.html.split_once(&format!("data-live=\"{list}-more\">")).unwrap();
        rest.split_once("</p>").unwrap().0
    }

    /// The sum of a measure of all that is filtered, in the order of slots.
    fn sum(&self, measure: &str) -> i128 {
        let cells = self.data["cells"].as_array().unwrap();
        cells.iter().filter_map(|cell| cell[measure].as_str()).map(total).sum()
    }
}

fn total(series: &str) -> i128 {
    series.split(',').filter(|number| !number.is_empty()).map(|number| number.parse::<i128>().unwrap()).sum()
}

fn rows(html: &str) -> Vec<Vec<String>> {
    let body = html.split_once("<tbody>").unwrap().1.split_once("</tbody>").unwrap().0;
    let cells = |row: &str| {
        let cells = row.split("<t").skip(1).map(|cell| {
            let cell = cell.split("<span class=\"below").next().unwrap();
            let text = cell.split_once('>').unwrap().1;
            let parts: String = text
                .split('<')
                .enumerate()
                .map(|(at, part)| if at == 0 { part } else { part.split_once('>').unwrap().1 })
                .collect();
            parts
                .trim()
                .replace("&#x2f;", "/")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#x27;", "'")
                .replace("&amp;", "&")
        });
        cells.collect::<Vec<_>>()
    };
    body.split("<tr").skip(1).map(|row| cells(row.split_once('>').unwrap().1)).collect()
}

fn demo() -> TestRun {
    let run = TestRun::new();
    let ran = run.run_at(DEMO_NOW, &["-q", "demo", "demo"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    run
}

fn of_demo(run: &TestRun, arguments: &[&str]) -> String {
    let ran = run.run_at(DEMO_NOW, &[&["--config", "demo/spendbook.toml"], arguments].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran.stdout
}

fn shown(amount: &Value) -> String {
    Usd::parse(amount.as_str().unwrap()).unwrap().shown()
}

#[test]
fn every_figure_is_that_of_top_status_and_the_charges() {
    let run = demo();
    for period in ["2026-06", "2026-05-03..2026-06-12", "2026-W23"] {
        let page = Page::of(of_demo(&run, &["report", "html", "--period", period, "--output", "-"]));
        for (subject, section) in
            [("teams", "list-teams"), ("models", "list-models"), ("keys", "list-keys"), ("users", "list-users")]
        {
            let json = of_demo(&run, &["top", subject, "--period", period, "--limit", "1000", "--format", "json"]);
            let top: Value = serde_json::from_str(&json).unwrap();
            let entries: Vec<&Value> = top.as_array().unwrap().iter().collect();
            let spent: Vec<&&Value> =
                entries.iter().filter(|it| it["requests"] != 0 || shown(&it["cost"]) != "$0.00").collect();
            let on_page = page.rows(section);
            assert!(!on_page.is_empty(), "{section}");
            for (row, entry) in on_page.iter().zip(&spent) {
                let nobody = match subject {
                    "teams" => "no team",
                    "keys" => "without a key",
                    _ => "not named",
                };
                let column = entry.as_object().unwrap().keys().find(|key| subject.starts_with(key.as_str())).unwrap();
                let name = entry[column.as_str()].as_str().unwrap_or(nobody);
                assert_eq!(
                    (row[0].as_str(), row[2].as_str()),
                    (name, shown(&entry["cost"]).as_str()),
                    "{period} {subject}"
                );
            }
            let rest = spent.len() - on_page.len();
            assert_eq!(
                page.more(subject).starts_with(&format!("and {rest} more, $")),
                rest > 0,
                "{subject}: {}",
                page.more(subject)
            );
        }
    }
    let page = Page::of(of_demo(&run, &["report", "html", "--period", "2026-06", "--output", "-"]));
    // Added up from the charges themselves, by another reader.
    let mut sum = 0;
    let mut requests = 0;
    for row in rows_of_table(&run.path("demo/book"), "charges", &[]) {
        if row.contains("ts=2026-06") {
            requests += 1;
            let cost = row.split(' ').find_map(|cell| cell.strip_prefix("cost="));
            sum += cost.map_or(0, |cost| Usd::parse(cost).unwrap().pico());
        }
    }
    assert_eq!((page.sum("cost"), page.sum("requests")), (sum, requests));
    assert!(page.html.contains(&format!("<dd class=\"big\">{}</dd>", Usd::from_pico(sum).unwrap().shown())));
    // Budgets as `status` has them.
    let status: Value = serde_json::from_str(&of_demo(&run, &["status", "--format", "json"])).unwrap();
    let mut budgets = BTreeMap::new();
    for row in page.budgets() {
        budgets.insert(row[0].clone(), row);
    }
    for budget in status["budgets"].as_array().unwrap() {
        let row = &budgets[budget["name"].as_str().unwrap_or("All of it")];
        assert_eq!((&row[3], &row[4]), (&shown(&budget["spend"]), &shown(&budget["budget"])), "{row:?}");
        assert_eq!(row[2], format!("{} %", budget["percent"]));
        assert!(row[5].ends_with(&shown(&budget["forecast_spend"])), "{row:?}");
    }
    assert_eq!(budgets.len(), status["budgets"].as_array().unwrap().len());
}

/// The page of a book of ours, on standard output.
fn written(run: &TestRun) -> String {
    let ran = run.run(&["report", "html", "--output", "-"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    ran.stdout
}

#[test]
fn the_same_book_gives_the_same_bytes_and_a_book_without_spend_a_page() {
    let run = small();
    assert_eq!(written(&run), written(&run));
    let empty = TestRun::in_memory(CONFIG);
    empty.write("logs/a.jsonl", "");
    empty.ingest();
    let page = written(&empty);
    assert!(page.contains("Nothing was charged in this period.") && page.contains("<dd class=\"big\">$0.00</dd>"));
    assert_eq!(Page::of(page).sum("requests"), 0);
}

#[test]
fn only_a_page_of_ours_is_replaced_where_nobody_named_a_file() {
    let run = small();
    let stored = || std::fs::read_to_string(run.path("spendbook.html")).unwrap();
    let ok = |arguments: &[&str]| {
        let ran = run.run(&[&["report", "html"], arguments].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    };
    assert!(ok(&[]).starts_with("`spendbook.html`: 2026-06-01..2026-07-01 (30 days), "));
    let first = stored();
    ok(&["--period", "2026-06-01"]);
    assert_ne!(stored(), first);
    run.write("spendbook.html", "<h1>mine</h1>");
    let ran = run.run(&["report", "html"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("is there and is no page of `spendbook report html`"), "{ran:?}");
    assert_eq!(stored(), "<h1>mine</h1>");
    ok(&["--output", "spendbook.html"]);
    assert_eq!(stored(), first);
    let ran = run.run(&["report", "html", "--period", "never"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(!run.path("-").exists());
}

/// A line of a log with names as they come.
fn line(number: usize, at: &str, key: &str, user: &str, model: &str, team: &str) -> String {
    let value = serde_json::json!({
        "ts": at, "request_id": format!("chatcmpl-{number:024}"), "key": key, "user": user, "model": model, "team": team,
        "http_status": 200, "usage": {"prompt_tokens": 1000 + number, "completion_tokens": 10},
    });
    format!("{value}\n")
}

fn priced(config: &str, log: &str) -> TestRun {
    let located = concat!("path = \"book\"\npricing = \"", env!("CARGO_MANIFEST_DIR"), "/pricing\"");
    let run = TestRun::in_memory(&config.replace("path = \"book\"", located));
    run.write("logs/a.jsonl", log);
    run.ingest();
    let ran = run.run(&["price"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    run
}

/// A book of a day, a team and a key.
fn small() -> TestRun {
    let line = |number| line(number, "2026-06-02T10:00:00Z", "chatbot-prod", "ann", "llama-3.1-8b-instant", "");
    priced(&format!("{CONFIG}\n[teams.chatbot]\n"), &(0..10).map(line).collect::<String>())
}

#[test]
fn no_name_gets_out_of_its_place() {
    let names = [
        "</script><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'; alert(1); //<!--",
        "{{ 7 * 7 }}{% raw %}",
        "\u{2028}\u{2029}\u{202e}moc.elpmaxe",
        "מפתח של הצוות",
        "🦀 crab\u{0}\u{1b}[2J",
        "__proto__",
    ];
    let long = "x".repeat(20_000);
    let mut lines = String::new();
    for (number, name) in names.iter().chain([&long.as_str()]).enumerate() {
        lines.push_str(&line(number, "2026-06-02T10:00:00Z", name, name, &format!("llama {name}"), name));
    }
    let config =
        format!("{CONFIG}\n[organization]\nname = \"</title><script>alert(2)</script>\"\nmonthly_budget_usd = \"1\"\n");
    let run = priced(&config, &lines);
    let page = Page::of(run.run(&["report", "html", "--output", "-"]).stdout);
    assert_eq!(page.html.matches("<script").count(), 2, "the data, and the script");
    assert_eq!(page.html.matches("</script").count(), 2);
    for bad in ["<img", "alert(1)</", "<!--al", "\u{202e}", "\u{2028}", "\u{0}", "\u{1b}"] {
        assert!(!page.html.contains(bad), "{bad:?}");
    }
    assert!(page.html.len() < 300_000, "{}", page.html.len());
    // It is there all the same, as text, and on one line of a bearable length.
    let models: BTreeSet<String> = page.rows("list-models").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(models.len(), names.len() + 1);
    assert!(models.iter().any(|name| name.contains("<script>alert(1)")), "{models:?}");
    assert!(models.iter().all(|name| name.chars().count() <= 46), "{models:?}");
    assert!(page.html.contains("default-src 'none'; style-src 'sha256-") && !page.html.contains("unsafe"));
    for address in ["http:", "https:", "//cdn", "url(", "@import"] {
        // What names its language is no address.
        let html = page.html.replace("http://www.w3.org/2000/svg", "");
        assert!(!html.contains(address), "{address}");
    }
}

#[test]
fn a_large_book_is_capped_and_what_is_left_out_is_said_and_still_added_up() {
    const TEAMS: usize = 260;
    let mut config = format!("{CONFIG}\n");
    let mut log = String::new();
    for team in 0..TEAMS {
        config.push_str(&format!("[teams.team{team:03}]\nmonthly_budget_usd = \"1\"\n"));
        for (month, at) in ["2025-05-10", "2025-12-24", "2026-06-09"].into_iter().enumerate() {
            let number = team * 3 + month;
            let model = format!("model-{}", number % 70);
            log.push_str(&line(
                number,
                &format!("{at}T10:00:00Z"),
                &format!("team{team:03}-prod-{month}"),
                &format!("user-{number}"),
                &model,
                "",
            ));
        }
    }
    let run = priced(&config, &log);
    let page = Page::of(run.run(&["report", "html", "--period", "2025-05-07..2026-06-11", "--output", "-"]).stdout);
    assert_eq!(page.data["slots"].as_array().unwrap().len(), 58, "weeks");
    let kinds = page.data["teams"].as_array().unwrap().iter().filter(|team| team["kind"] == "team").count();
    assert_eq!((kinds, &page.data["more_teams"], page.sum("requests")), (250, &10.into(), 780));
    assert_eq!(page.rows("list-teams").len(), 20);
    assert_eq!(page.rows("list-models").len(), 10);
    assert!(page.more("teams").starts_with("and 240 more, $"), "{}", page.more("teams"));
    assert!(page.more("models").starts_with("and 60 more, $"), "{}", page.more("models"));
    assert!(page.more("keys").starts_with("and 770 more, $"), "{}", page.more("keys"));
    assert!(page.html.contains("<p class=\"more\" data-more>and 248 more</p>"));
    assert_eq!(page.data["models"].as_array().unwrap().len(), 41, "and the rest");
    // What is told apart and what is not come to what everything came to.
    let mut sum = 0;
    for row in run.rows("charges") {
        let cost = row.split(' ').find_map(|cell| cell.strip_prefix("cost="));
        sum += cost.map_or(0, |cost| Usd::parse(cost).unwrap().pico());
    }
    assert!(sum > 0);
    assert_eq!(page.sum("cost"), sum);
    let hours = page.data["hours"].as_array().unwrap();
    assert_eq!(hours.iter().map(|cell| total(cell[2].as_str().unwrap())).sum::<i128>(), sum);
    assert!(page.html.len() < 3_000_000, "{}", page.html.len());
}

#[test]
fn reconciliation_is_what_reconcile_says_by_source_and_by_team() {
    let run = reconcile::workspace(reconcile::CONFIG);
    assert!(written(&run).contains("Nothing that a provider reports was compared with the logs of this period."));
    let bill = |day, key, requests, tokens, cost| reconcile::told("bill", day, Some(key), requests, tokens, Some(cost));
    let june = |day| if day == 1 { reconcile::DAY } else { "2026-06-05" };
    let told = vec![
        bill(june(1), "lab-prod", 10, [1000, 100], "1.20"),
        bill(june(1), "chat-prod", 12, [1200, 120], "1.49"),
        bill(june(1), "ghost", 3, [500, 50], "0.60"),
    ];
    reconcile::tell(&run, "bill", june(1), told);
    reconcile::tell(&run, "bill", june(5), vec![bill(june(5), "lab-prod", 1, [5, 0], "0.01")]);
    reconcile::priced(&run);
    let page = Page::of(written(&run));
    let ran = run.run(&["reconcile", "--format", "json"]);
    let lines: Value = serde_json::from_str(&ran.stdout).unwrap();
    let lines = lines["lines"].as_array().unwrap();
    let money = |name: &str| -> i128 {
        let name = format!("cost_{name}");
        lines.iter().map(|line| Usd::parse(line[&name].as_str().unwrap()).unwrap().pico()).sum()
    };
    let tokens = |name: &str| -> i64 { lines.iter().filter_map(|line| line[format!("tokens_{name}")].as_i64()).sum() };
    let usd = |pico: i128| Usd::from_pico(pico).unwrap().shown();
    assert_eq!((money("ours"), money("theirs")), (2_400_000_000_000, 3_300_000_000_000));
    // The cent of the fifth could be half a cent as well.
    let causes = [("not in our logs", "not_logged"), ("price", "price"), ("rounding", "rounding")];
    assert_eq!(causes.iter().map(|(_, name)| money(name)).sum::<i128>(), money("difference"));
    let because = causes.map(|(text, name)| format!("{text} {}", usd(money(name)))).join(", ");
    let investigated = lines.iter().filter(|line| line["status"] == "investigate").count();
    let counts = [lines.len().to_string(), investigated.to_string()];
    let sides = [
        [usd(money("ours")), usd(money("theirs")), usd(money("difference")), because],
        [tokens("ours"), tokens("theirs"), tokens("difference"), tokens("not_logged")]
            .map(|number| number.to_string())
            .map(|text| {
                if text.len() > 3 { format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..]) } else { text }
            }),
    ];
    let rows = page.live("reconciled");
    assert_eq!(rows.len(), 2);
    for (row, mut side) in rows.iter().zip(sides) {
        if !side[0].starts_with('$') {
            side[3] = format!("not in our logs {}", side[3]);
        }
        assert_eq!(row[0], "bill");
        assert_eq!((&row[1..5], &row[5..]), (&side[..], &counts[..]));
    }
    // What is in no log, by team, added up by SQL.
    let sql = "SELECT team, sum(requests) AS requests, sum(input_tokens) + sum(output_tokens) AS tokens, sum(cost) AS cost \
               FROM unlogged GROUP BY team ORDER BY cost DESC";
    let ran = run.run(&["query", sql, "--format", "json"]);
    let asked: Value = serde_json::from_str(&ran.stdout).unwrap();
    let expected: Vec<Vec<String>> = asked
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let team = row["team"].as_str().unwrap_or("no team").to_owned();
            vec![team, row["requests"].to_string(), row["tokens"].to_string(), shown(&row["cost"])]
        })
        .collect();
    assert_eq!(expected.len(), 3);
    assert_eq!(page.live("unlogged"), expected);
    // Every slot of it is in what the page filters.
    let sides = page.data["reconciled"]["sides"].as_array().unwrap();
    assert_eq!(
        sides.iter().map(|side| total(side["theirs"].as_str().unwrap())).collect::<Vec<_>>(),
        [money("theirs"), tokens("theirs").into()]
    );
    // It is in no other sum.
    assert!(page.html.contains("<dd class=\"big\">$2.40</dd>"));
    let before = written(&run);
    assert_eq!(before, page.html);
    let of_june_5 = Page::of(run.run(&["report", "html", "--period", june(5), "--output", "-"]).stdout);
    assert_eq!(of_june_5.live("reconciled")[0][2], "$0.01");
}
