//! Properties and examples of the formatter.

use proptest::prelude::*;

use crate::document::{Body, parse};
use crate::{Platform, TelegramText, chunks, discord, plain, slack, telegram};

const PLATFORMS: [Platform; 3] = [Platform::Telegram, Platform::Discord, Platform::Slack];

/// Kind, covered text, and URL or language.
fn entities(text: &TelegramText) -> Vec<(&'static str, String, Option<&str>)> {
    let units: Vec<u16> = text.text.encode_utf16().collect();
    let found = text.entities.iter().map(|entity| {
        let covered = &units[entity.offset..entity.offset + entity.length];
        let extra = entity.url.as_deref().or(entity.language.as_deref());
        (entity.kind, String::from_utf16(covered).unwrap(), extra)
    });
    found.collect()
}

fn size(markdown: &str, platform: Platform) -> usize {
    match platform {
        Platform::Telegram => telegram(markdown).text.encode_utf16().count(),
        Platform::Discord => discord(markdown).chars().count(),
        Platform::Slack => slack(markdown).chars().count(),
        Platform::Bridge => markdown.chars().count(),
    }
}

fn without_space(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Checks what holds for each text, and returns the parts.
fn checked(markdown: &str, platform: Platform) -> Vec<String> {
    let parts = chunks(markdown, platform);
    let mut joined = String::new();
    for part in &parts {
        assert!(!plain(part).trim().is_empty(), "empty part of {markdown:?}: {part:?}");
        let size = size(part, platform);
        assert!(size <= platform.limit(), "{size} on {platform:?} of {markdown:?}: {part:?}");
        joined.push_str(&plain(part));
    }
    let (joined, whole) = (without_space(&joined), without_space(&plain(markdown)));
    if joined != whole {
        let same =
            joined.chars().zip(whole.chars()).take_while(|(one, other)| one == other).count();
        let near =
            |text: &str| text.chars().skip(same.saturating_sub(20)).take(60).collect::<String>();
        panic!("{platform:?} {:?} instead of {:?} in {parts:?}", near(&joined), near(&whole));
    }
    parts
}

fn check_entities(text: &TelegramText) {
    let units: Vec<u16> = text.text.encode_utf16().collect();
    for (index, one) in text.entities.iter().enumerate() {
        let end = one.offset + one.length;
        assert!(one.length > 0 && end <= units.len(), "{one:?} in {text:?}");
        let covered = String::from_utf16(&units[one.offset..end]).unwrap();
        assert_eq!(covered.trim(), covered, "{one:?} in {text:?}");
        for other in &text.entities[index + 1..] {
            let other_end = other.offset + other.length;
            let is_apart = end <= other.offset;
            let is_within = one.offset <= other.offset && other_end <= end;
            assert!(is_apart || is_within, "{one:?} {other:?} in {text:?}");
            let is_plain = |kind: &str| ["pre", "code"].contains(&kind);
            assert!(
                is_apart || !is_plain(one.kind) && (one.kind, other.kind) != ("text_link", "code")
            );
        }
    }
}

#[test]
fn telegram_has_text_and_entities() {
    let text = telegram(
        "# Plan 😀 `x`\n\nA **bold *both*** and ~~gone~~ `a*b`, [site](https://a.example/?b=1&c=2), \
         [bad](javascript:x) and ![chart](http://a.example/c.png).\n\n> quoted **b**\n>\n> more\n\n\
         ```rust ignore\nfn main() {}\n```\n",
    );
    assert_eq!(
        text.text,
        "Plan 😀 x\n\nA bold both and gone a*b, site, bad and chart.\n\nquoted b\n\nmore\n\nfn main() {}"
    );
    let expected = [
        ("bold", "Plan 😀", None),
        ("code", "x", None),
        ("bold", "bold", None),
        ("bold", "both", None),
        ("italic", "both", None),
        ("strikethrough", "gone", None),
        ("code", "a*b", None),
        ("text_link", "site", Some("https://a.example/?b=1&c=2")),
        ("text_link", "chart", Some("http://a.example/c.png")),
        ("blockquote", "quoted b\n\nmore", None),
        ("bold", "b", None),
        ("pre", "fn main() {}", Some("rust")),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(kind, text, extra)| (kind, text.to_owned(), extra)).collect();
    assert_eq!(entities(&text), expected);
    check_entities(&text);
}

#[test]
fn lists_and_tables_are_text() {
    let list = "- a\n  more\n- b\n\n  3. c\n  4. d\n- [x] e\n- [ ] f\n- [x] \n  - [x] g\n-\n";
    assert_eq!(plain(list), "• a\n  more\n• b\n  3. c\n  4. d\n• ☑ e\n• ☐ f\n• ☑\n  • ☑ g\n• ");
    assert_eq!(discord(list), "- a\n  more\n- b\n  3. c\n  4. d\n- ☑ e\n- ☐ f\n- ☑\n  - ☑ g\n- ");
    let table = "| Part | Price |\n|---|--:|\n| Chain | 24 |\n| **鎖** | `7` |\n";
    let drawn = "Part  | Price\n------|------\nChain |    24\n鎖    |     7";
    let text = telegram(table);
    assert_eq!(entities(&text), [("pre", drawn.to_owned(), None)]);
    assert_eq!(discord(table), format!("```\n{drawn}\n```"));
    assert_eq!(slack(table), format!("```\n{drawn}\n```"));
}

#[test]
fn discord_has_its_own_dialect() {
    let markdown = "## Head\n\n#### Deep\n\n**b** *i* ~~s~~ **a**_b_ [t](https://x.example/a) \
        https://y.example/_z [m](mailto:a@b.example) 1 * 2 snake_case\n\n> q\n> r\n\n```py\nx = `1`\n```";
    assert_eq!(
        discord(markdown),
        "## Head\n\n**Deep**\n\n**b** *i* ~~s~~ **a**\u{200B}*b* [t](<https://x.example/a>) \
         <https://y.example/_z> m 1 \\* 2 snake\\_case\n\n> q\n> r\n\n```py\nx = `1`\n```"
    );
    let mentions = "@everyone @here <@12> <@&3> `@everyone` [x](https://x.example/@everyone) @everyonea@b.example\n\n\
        @\\everyone @<b></b>here\n\n```\n<@!1> @here\n```";
    let written = discord(mentions);
    for mention in ["@everyone", "@here", "<@1", "<@&", "<@!"] {
        assert!(!written.contains(mention), "{mention} in {written}");
    }
    assert!(written.starts_with("@\u{200B}everyone @\u{200B}here \\<@\u{200B}12\\>"), "{written}");
    let fence = discord("````\n```\n@\n````");
    assert_eq!(fence.matches("```").count(), 2, "{fence}");
    assert_eq!(discord("1\\. a\n\\- b\n\\> c"), "1\\. a\n\\- b\n\\> c");
}

#[test]
fn slack_has_mrkdwn() {
    let markdown = "# Head\n\n**b** *i* ~~s~~ `a<b` Pro**jekt**plan [t & u](https://x.example/?a=1&b=2) \
        <https://y.example> **[z](https://z.example)** a@b.example\n\n<!everyone> <@U12> <!channel>\n\n\
        > q\n> r\n\n```js\na && b\n```";
    assert_eq!(
        slack(markdown),
        "*Head*\n\n*b* _i_ ~s~ `a&lt;b` Pro\u{200B}*jekt*\u{200B}plan \
         <https://x.example/?a=1&amp;b=2|t &amp; u> <https://y.example> *<https://z.example|z>* \
         <mailto:a@b.example|a@b.example>\n\n&lt;!everyone&gt; &lt;@U12&gt; &lt;!channel&gt;\n\n\
         > q\n> r\n\n```\na &amp;&amp; b\n```"
    );
}

#[test]
fn bidi_overrides_are_removed_and_other_controls_kept() {
    assert_eq!(plain("a\u{202E}b\u{2066}c&#x202D;d\u{200D}\u{200F}e"), "abcd\u{200D}\u{200F}e");
    assert_eq!(
        telegram("[x](https://a.example/\u{202E}b)").entities[0].url.as_deref(),
        Some("https://a.example/b")
    );
}

#[test]
fn short_text_is_one_part_and_nothing_is_none() {
    for platform in PLATFORMS {
        assert_eq!(chunks("Hello **you**", platform), ["Hello **you**"]);
        for nothing in ["", " \n\t\n", "[a]: https://x.example\n", "```\n\n```", "&nbsp;"] {
            assert_eq!(chunks(nothing, platform), Vec::<String>::new(), "{nothing:?}");
        }
    }
}

#[test]
fn parts_end_between_paragraphs_and_headings_stay_with_their_text() {
    let paragraph = "Some **bold** words, and `code` too. ".repeat(30);
    let markdown = format!("{paragraph}\n\n## Head\n\n{paragraph}");
    let parts = checked(&markdown, Platform::Discord);
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0], paragraph.trim_end());
    assert!(parts[1].starts_with("## Head\n\nSome **bold** words"), "{}", parts[1]);
}

#[test]
fn a_cut_fence_is_reopened_with_its_language() {
    let code: String = (0..400).map(|n| format!("    let number_{n} = {n};\n")).collect();
    for platform in PLATFORMS {
        let parts = checked(&format!("1. Look:\n\n   ```rust\n{code}   ```\n"), platform);
        assert!(parts.len() > 2);
        for part in &parts {
            let blocks = parse(part);
            let Body::Code { language, text } = &blocks.last().unwrap().body else {
                panic!("{part}")
            };
            assert_eq!(language, "rust");
            assert!(
                text.lines()
                    .all(|line| line.trim_start().starts_with("let ") && line.ends_with(';'))
            );
        }
    }
}

#[test]
fn links_and_words_and_clusters_stay_whole() {
    let links: String =
        (0..300).map(|n| format!("[word {n} of it](https://a.example/{n}) ")).collect();
    for platform in PLATFORMS {
        let parts = checked(&links, platform);
        let found: usize = parts.iter().map(|part| telegram(part).entities.len()).sum();
        assert_eq!(found, 300);
        let family = "👨‍👩‍👧‍👦";
        for part in checked(&family.repeat(900), platform) {
            assert_eq!(plain(&part).replace(family, ""), "");
        }
        for part in checked(&"abcdefgh ".repeat(1200), platform) {
            assert_eq!(plain(&part).replace("abcdefgh", "").trim(), "");
        }
        checked(&format!("a{}", "\u{301}".repeat(9000)), platform);
        checked(
            &format!("x [long {}](https://a.example/{}) y", "z".repeat(3000), "u".repeat(4000)),
            platform,
        );
    }
}

#[test]
fn lists_continue_with_their_numbers() {
    let items: String =
        (1..200).map(|n| format!("{n}. {}\n   - sub\n\n   more\n", "word ".repeat(20))).collect();
    for platform in PLATFORMS {
        let parts = checked(&items, platform);
        assert!(plain(&parts[1]).contains("\n20. word") || plain(&parts[1]).contains("\n40. word"));
    }
    let apart = format!("1. a\n2. b\n\n1) c\n2) d\n\n> e\n\n> f\n\n{}", "word ".repeat(2000));
    for platform in PLATFORMS {
        let text = plain(&checked(&apart, platform)[0]);
        assert!(text.starts_with("1. a\n2. b\n\n1. c\n2. d\n\ne\n\nf\n\nword"), "{text}");
    }
}

#[test]
fn hostile_input_is_cut_into_parts_without_an_end_of_memory_or_stack() {
    let of = |unit: &str| unit.repeat(20_000 / unit.len());
    let header = |columns: usize| format!("{}|\n{}|\n", "|a".repeat(columns), "|-".repeat(columns));
    let cases = [
        of(">"),
        of("["),
        of("!["),
        of("[a]("),
        of("- "),
        of("*"),
        of("*a **b "),
        of("_a_*"),
        of("`"),
        of("<b>"),
        of("<!--"),
        of("a@b."),
        of("http://"),
        of("~~a"),
        of("\\"),
        of("@everyone"),
        of("[a](b)"),
        of("![a](https://x.example)"),
        of("\n\n"),
        of("\u{200D}"),
        of("a\u{301}"),
        of("x\n"),
        format!("{}\n{}", "- ".repeat(90), "\n".repeat(50_000)),
        format!("{}a\n{}", "> ".repeat(16), "a\n".repeat(5_000)),
        format!("{}a\n{}", ">".repeat(20_000), "a\n".repeat(5_000)),
        format!("{}{}", header(1000), "|a\n".repeat(2_000)),
        format!("[{}](https://x.example/{})", "*a* ".repeat(4000), "u".repeat(5000)),
        format!("```{}\n{}", of("a"), of("```\n")),
    ];
    for (case, platform) in cases.iter().zip(PLATFORMS.into_iter().cycle()) {
        checked(case, platform);
        check_limits(case);
    }
}

fn check_limits(markdown: &str) {
    let text = telegram(markdown);
    let len = text.text.encode_utf16().count();
    assert!(
        text.entities
            .iter()
            .all(|entity| entity.length > 0 && entity.offset + entity.length <= len)
    );
}

fn pieces() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "a",
        "word",
        "Wort",
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\n\n",
        "\n\n",
        "*",
        "**",
        "***",
        "_",
        "__",
        "~~",
        "`",
        "``",
        "```",
        "\n```rust\n",
        "\n```\n",
        "> ",
        "- ",
        "* ",
        "1. ",
        "2) ",
        "7. ",
        "  ",
        "    ",
        "\t",
        "# ",
        "### ",
        "\n---\n",
        "[x](https://a.example/b)",
        "[",
        "](",
        "](https://c.example)",
        ")",
        "![",
        "!",
        "https://d.example/_e_",
        "www.f.example",
        "a@b.example",
        "@everyone",
        "<@1>",
        "<b>",
        "</b>",
        "<i>",
        "</i>",
        "<br>",
        "<div>",
        "&",
        "&amp;",
        "&#32;",
        "&#10;",
        "&#13;",
        "\\",
        "|",
        "\n| a | b |\n|---|:-:|\n| c | d |\n",
        "- [x] ",
        "- [ ] ",
        ".",
        ":",
        "-",
        "+",
        "=",
        "===",
        "1",
        "😀",
        "é",
        "e\u{301}",
        "\u{200B}",
        "\u{a0}",
        "\u{202E}",
        "中文",
        "\r",
        "\r\n",
        "\"q\"",
        "(p)",
        "<",
        ">",
        "#",
        "http:",
        "://",
        "mailto:g@h.example",
    ];
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_parse_back_to_the_same_text(texts in prop::collection::vec((pieces(), 1..40_usize), 1..8)) {
        let markdown: String = texts.iter().map(|(text, times)| text.repeat(*times)).collect();
        for platform in PLATFORMS {
            checked(&markdown, platform);
        }
    }

    #[test]
    fn what_is_written_parses_back(text in pieces()) {
        // The long tail does not fit, so that the start becomes a part that is rendered separately.
        let markdown = format!("{text}\n\n{}", "word ".repeat(1000));
        checked(&markdown, Platform::Telegram);
    }

    #[test]
    fn entities_nest(text in pieces()) {
        let written = telegram(&text);
        check_entities(&written);
        prop_assert!(!discord(&text).contains("@everyone"));
        prop_assert!(!slack(&text).contains("<@"));
    }
}

#[test]
fn relative_links_and_images_are_paths() {
    let text = "See [the plan](out/plan%20%C3%BC.pdf#p2), ![chart](<./a b.png>), [again](./a%20b.png), \
                [web](https://a.example/x), [page](/w/acme), [mail](mailto:a@b.example), [top](#top), \
                `[code](no.txt)` and [odd](50%.txt).";
    assert_eq!(crate::paths(text), ["out/plan ü.pdf", "./a b.png", "50%.txt"]);
}
