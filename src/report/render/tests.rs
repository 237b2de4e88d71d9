//! A page as text and as HTML, with texts that try to be more than that.

use super::*;

fn page(name: &str) -> Page {
    let row = Row { bar: Some(415), below: name.to_owned(), ..Row::new([name.to_owned(), "$4.00".to_owned()]) };
    let table = Table {
        heading: "Top models".to_owned(),
        note: name.to_owned(),
        columns: vec![Column::text("model"), Column::number("cost")],
        rows: vec![row.clone(), Row { is_total: true, ..Row::new(["all".to_owned(), "$12.00".to_owned()]) }],
        more: "and 3 more".to_owned(),
    };
    let figure = |value: &str| Figure { label: name.to_owned(), value: value.to_owned(), ..Figure::default() };
    let meter = Meter {
        label: name.to_owned(),
        value: "$12.00 of $20.00".to_owned(),
        percent: 60,
        shown: "60 %".to_owned(),
        note: "about $21.00 at the end".to_owned(),
        tone: Tone::Warning,
    };
    let picture = Picture {
        heading: "Day by day".to_owned(),
        cid: "chart".to_owned(),
        alt: format!("Monday {name}"),
        width: 574,
        rows: vec![row],
        columns: vec![Column::text(""), Column::number("")],
    };
    Page {
        label: format!("Weekly summary · {name}"),
        news: format!("{name} spent $12.00"),
        lead: vec![format!("That is more than {name} did.")],
        parts: vec![
            Part::Figures { figures: vec![figure("$12.00"), figure("1,234"), figure("7")] },
            Part::Meters { heading: "Budgets".to_owned(), meters: vec![meter] },
            Part::Note { tone: Tone::Grave, text: format!("{name} is over.") },
            Part::Table(table),
            Part::Table(Table::facts("", [(name.to_owned(), "1".to_owned())])),
            Part::List { heading: "Why".to_owned(), items: vec![format!("because of {name}")] },
            Part::Chart(picture),
        ],
        footer: Footer { lines: vec![format!("Made for {name}.")], command: "spendbook status".to_owned() },
    }
}

#[test]
fn the_text_says_all_that_the_html_says() {
    insta::assert_snapshot!(page("chatbot").render().unwrap().text, @r"
    Weekly summary · chatbot

    chatbot spent $12.00
    ====================

    That is more than chatbot did.

    chatbot  $12.00
    chatbot   1,234
    chatbot       7

    Budgets
    -------
    chatbot                    60 %  $12.00 of $20.00
      about $21.00 at the end

    Attention: chatbot is over.

    Top models
    ----------
    chatbot
    model        cost
    chatbot     $4.00
      chatbot
    all        $12.00
    and 3 more

    chatbot  1

    Why
    ---
    - because of chatbot

    Day by day
    ----------
    chatbot    $4.00
      chatbot

    --
    Made for chatbot.
    Every number recomputes with:
      spendbook status
    ");
}

#[test]
fn the_html_asks_nothing_of_the_network() {
    let html = page("chatbot").render().unwrap().html;
    let outside: Vec<&str> =
        html.match_indices("//").map(|(at, _)| &html[at.saturating_sub(6)..(at + 12).min(html.len())]).collect();
    assert!(outside.iter().all(|it| it.contains("www.w3.org")), "{outside:?}");
    assert_eq!(html.matches("src=").count(), html.matches("src=\"cid:").count());
    for needed in
        ["prefers-color-scheme: dark", "name=\"color-scheme\"", "alt=\"Monday chatbot\"", "width=device-width"]
    {
        assert!(html.contains(needed), "{needed}");
    }
    for never in ["@import", "<link", "<script", "url("] {
        assert!(!html.contains(never), "{never}");
    }
}

#[test]
fn no_name_becomes_markup() {
    let plain = page("chatbot").render().unwrap().html;
    for name in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "</mj-text></mj-column></mj-section>",
        "{{ page }}{% raw %}",
        "<!-- <mj-include path='/etc/passwd' /> -->",
        "&lt;b&gt; &amp; ]]> <![CDATA[",
        "a' onload='x",
    ] {
        let html = page(name).render().unwrap().html;
        let tags = |html: &str| html.matches('<').count();
        assert_eq!(tags(&html), tags(&plain), "{name}");
        assert_eq!(html.matches('"').count(), plain.matches('"').count(), "{name}");
        assert!(!html.contains("onerror=alert") || html.contains("src=x onerror=alert(1)&gt;"), "{name}");
    }
}

#[test]
fn a_percent_sign_stays_with_its_number() {
    for before in 0..80 {
        let lead = vec![format!("{} 95 %, and 5 % more", "x".repeat(before))];
        let text = Page { lead, ..page("chatbot") }.render().unwrap().text;
        assert!(text.contains("95 %, and") || text.contains("95 %,\nand"), "{text}");
        assert!(text.contains("5 % more") || text.contains("5 %\nmore"), "{text}");
    }
}
