//! Questions that cannot be answered: names that nobody knows, days in the wrong
//! order, nothing that is to be otherwise. "All is well" would be a wrong answer.

use std::fs;

use crate::{
    reconcile::{CONFIG, line, priced, workspace},
    support::TestRun,
};

const MORE_PRICES: &str = "groq,m,batch,input_tokens,0.5,1k,,2026-01-01,,2026-01-01,list,made up,
groq,*,*,input_tokens,0.1,1k,,2026-01-01,,2026-01-01,fallback,made up,
groq,*,*,output_tokens,0.1,1k,,2026-01-01,,2026-01-01,fallback,made up,
";

/// Twenty requests of `m`, and one of `z`, which only a fallback has a price for.
fn asked() -> TestRun {
    let run = workspace(CONFIG);
    run.append("pricing/groq.csv", MORE_PRICES);
    run.append("logs/a.jsonl", line(900, "2026-06-01T15:00:00Z", "gone-prod", 100, 10).replace("\"m\"", "\"z\""));
    priced(&run);
    run
}

#[test]
fn what_nobody_knows_is_refused_with_what_there_is() {
    let run = asked();
    let reversed = "`--from 2026-06-05` is after `--to 2026-06-01`, expected the first day before the last one";
    let cases: [(&str, &str); 13] = [
        (
            "audit --team cha",
            "`--team` names the team `cha`, which is in neither config nor book, did you mean `chat`? there are `chat` \
             and `lab`",
        ),
        (
            "audit --key chat-prd",
            "`--key` names the key `chat-prd`, which is in neither config nor book, did you mean `chat-prod`? there are \
             `chat-prod`, `gone-prod` and `lab-prod`",
        ),
        ("audit --dry-run --team nosuch", "config nor book: there are `chat` and `lab`"),
        ("audit --from 2026-06-05 --to 2026-06-01", reversed),
        ("reconcile --from 2026-06-05 --to 2026-06-01", reversed),
        ("price --from 2026-06-05 --to 2026-06-01", reversed),
        ("what-if --tier batch --from 2026-06-05 --to 2026-06-01", reversed),
        (
            "reconcile --provider grok",
            "`--provider` names the provider `grok`, which is in neither config nor book, did you mean `groq`? there is \
             `groq`",
        ),
        (
            "what-if --tier batch --team nosuch",
            "`--team` names the team `nosuch`, which is in neither config nor book: ",
        ),
        (
            "what-if --model foo=m",
            "`--model` names the model `foo`, which is in neither price book nor logs: there are `m` and `z`",
        ),
        ("what-if --model m=bar", "`--model` names the model `bar`, which is in neither price book nor logs: "),
        (
            "what-if --tier btach",
            "`--tier` names the tier `btach`, which is in neither price book nor logs, did you mean `batch`? there are \
             `batch` and `on_demand`",
        ),
        ("what-if --team chat", "nothing is to be otherwise: give at least one of `--pricing`, `--model`, `--tier`"),
    ];
    for (command, expect) in cases {
        let ran = run.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command}: {ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(expect), "{command}: {}", ran.stderr);
    }
    // What one of them knows is a question.
    for command in ["audit --key gone-prod", "audit --team lab", "reconcile --provider groq", "what-if --model m=z"] {
        let ran = run.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{command}: {ran:?}");
    }
    let text = run.run(&["reconcile", "--provider", "groq"]).stdout;
    assert!(text.starts_with("no source has reported totals of groq since 2026-05-11, "), "{text}");
}

#[test]
fn an_answer_by_fallback_prices_says_so() {
    let run = asked();
    // 20 × (100 × $0.001 + 10 × $0.002) and 110 × $0.0001 now, 21 times the latter then.
    let ran = run.run(&["what-if", "--model", "m=z"]);
    let expect = "estimated, by fallback prices: $0.011 for 1 request now, $0.23 for 21 requests then: no price is known \
                  for these models and tiers\n";
    assert!(ran.stdout.ends_with(expect), "{ran:?}");
    let ran = run.run(&["what-if", "--model", "m=z", "--team", "chat", "--format", "csv"]);
    let expect = "team,model,requests,cost_now,cost_then,difference,unpriced_now,unpriced_then,estimated_now,\
                  estimated_then,estimated_cost_now,estimated_cost_then\n\
                  chat,m,10,1.200000000000,0.110000000000,-1.090000000000,0,0,0,10,0.000000000000,0.110000000000\n";
    assert_eq!(ran.stdout, expect);
    let ran = run.run(&["what-if", "--tier", "on_demand", "--team", "lab"]);
    assert!(ran.code == 0 && !ran.stdout.contains("estimated"), "{ran:?}");
}

#[test]
fn an_audit_that_cannot_write_says_how_to_look() {
    let run = asked();
    let lock = fs::File::options().write(true).open(run.path("book/lock")).unwrap();
    lock.lock().unwrap();
    let ran = run.run(&["audit"]);
    let expect = "error: nothing new can be looked for now, `spendbook audit --dry-run` shows what was found before: ";
    assert!(ran.code == 75 && ran.stderr.starts_with(expect), "{ran:?}");
    assert_eq!(run.run(&["audit", "--dry-run"]).code, 0);
    drop(lock);
    assert_eq!(run.run(&["audit"]).code, 0);
}
