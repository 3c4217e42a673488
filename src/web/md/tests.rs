//! Rendering of Markdown, and its safety against hostile input.

use proptest::prelude::*;

use super::{anchored, end_of, excerpt, plain, render, with_ticks};

/// Splits HTML into its tags and its unescaped text.
fn taken_apart(html: &str) -> (Vec<&str>, String) {
    let (mut tags, mut words, mut rest) = (Vec::new(), String::new(), html);
    while let Some(at) = rest.find('<') {
        words.push_str(&rest[..at]);
        let (tag, after) = rest[at..].split_at(end_of(&rest[at..]));
        tags.push(tag);
        rest = after;
    }
    words.push_str(rest);
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", "\u{a0}")];
    for (sign, meant) in signs {
        words = words.replace(sign, meant);
    }
    (tags, words.replace("&amp;", "&"))
}

/// Whether a tag is one that plain Markdown produces: no scripts, no external resources, no requests.
fn is_harmless(tag: &str) -> bool {
    let name = tag.trim_start_matches(['<', '/']);
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let known = ["p", "br", "a", "em", "strong", "code", "ul", "ol", "li", "blockquote", "hr"];
    let own = tag.starts_with("<div class=\"code\">") || tag == "</div>";
    let attributes = tag.split_whitespace().skip(1);
    let bad = ["on", "style", "hx-", "srcdoc", "href=\"javascript", "href=\"data"];
    (own || known.contains(&name))
        && !attributes.into_iter().any(|one| bad.iter().any(|bad| one.starts_with(bad)))
}

#[test]
fn a_text_that_is_nested_without_end_is_shown_as_it_was_written() {
    let deep = "> ".repeat(20_000) + "[a](https://example.com) MC-1";
    let html = render(&deep, &|_| Some("/x".to_owned()));
    assert!(html.as_str().starts_with("<pre>&gt; &gt;"));
    let usual = "> ".repeat(20) + "MC-1";
    assert!(render(&usual, &|_| Some("/x".to_owned())).as_str().contains("href"));
}

#[test]
fn known_words_become_links_and_code_stays_as_it_is() {
    let find = |word: &str| match word {
        "MC-142" => Some("/w/a/tasks/MC-142".to_owned()),
        "@ada" => Some("/w/a/agents/ada".to_owned()),
        _ => None,
    };
    let html = render("See MC-142, `MC-142` and @ada. Not MC-9 or mail@ada.example.", &find);
    assert_eq!(html.as_str().matches("<a href=\"/w/a/tasks/MC-142\"").count(), 1);
    assert_eq!(html.as_str().matches("<a href=\"/w/a/agents/ada\"").count(), 1);
    assert!(html.as_str().contains("<code>MC-142</code>"));
    assert!(html.as_str().contains("</a>, <code>"), "{html}");
    assert!(html.as_str().contains("</a>. Not MC-9"), "{html}");
}

#[test]
fn a_block_of_code_has_a_button_and_words_that_look_like_one_have_none() {
    let html = plain("```sh\nls </pre> <pre>\n```\n\nsay `<pre>` [x](<http://a.example/</pre>>)");
    let html = html.as_str();
    assert_eq!(html.matches("data-copy-code").count(), 1, "{html}");
    assert!(html.contains("<div class=\"code\"><pre"), "{html}");
    assert!(html.contains("ls &lt;/pre&gt; &lt;pre&gt;\n</code></pre><button"), "{html}");
    // A tag inside an attribute value has no effect.
    let odd = "<pre tabindex=\"0\">a</pre><a href=\"</pre>\">b</a>";
    let odd = super::framed(odd, Vec::new());
    assert!(odd.ends_with("</div><a href=\"</pre>\">b</a>"), "{odd}");
}

#[test]
fn front_matter_is_shown_as_it_was_written_and_is_no_heading() {
    let html = plain("---\nname: prices\ntags: [a]\n---\n\n# Prices\n");
    assert!(html.as_str().contains("name: prices\ntags: [a]\n---\n</code>"), "{html}");
    assert_eq!(html.as_str().matches("<h2").count(), 1, "{html}");
    for words in ["---\n\nname: a\n\n---\n", "---\nJust words.\n\n---\n", "---\na: b\n"] {
        assert!(!plain(words).as_str().contains("<pre"), "{words}");
    }
}

#[test]
fn lists_and_quotes_run_as_their_words_do() {
    let html = plain("- مراجعة\n\n1. one\n\n> עוד\n");
    for tag in ["ul", "ol", "blockquote"] {
        assert!(html.as_str().contains(&format!("<{tag} dir=\"auto\">")), "{html}");
    }
}

#[test]
fn a_word_inside_a_link_is_not_linked_again() {
    let html = render("[MC-1 is here](https://x.example)", &|_| Some("/t".into()));
    assert!(!html.as_str().contains("/t"));
}

/// Hostile and harmless inputs.
const TYPED: &[&str] = &[
    "a <b>bold</b> word",
    "Vec<String> and Map<K, Vec<V>>",
    "see <MC-1> and <x-y z=\"1\"/>",
    "<script>alert(1)</script>",
    "words <script>alert(1)</script> words",
    "<SCRIPT SRC=//e.example/x.js></SCRIPT>",
    "<script>\nalert(1)\n\nalert(2)\n</script>",
    "<b onclick=x() style=\"color:red\">b</b>",
    "<img src=x onerror=\"alert('1')\">",
    "<svg/onload=alert(1)>",
    "<div hx-get=\"/w/a/settings\" hx-trigger=\"load\">c</div>",
    "<iframe srcdoc=\"<script>x</script>\"></iframe>",
    "<style>@import 'x';</style>",
    "<!-- a note -->",
    "words <!-- a note --> words",
    "<!--> <script>x</script> -->",
    "<?php echo 1 ?>",
    "<!DOCTYPE html>",
    "<![CDATA[ <p> ]]>",
    "<table><tr><td onmouseover=x>1</td></tr></table>",
    "<input type=checkbox checked>",
    "<a href=\"javascript:alert(1)\">here</a>",
    "<details>\n<summary>More</summary>\nwords\n</details>",
    "</p></main><form action=\"/logout\" method=\"post\">",
    "<div\nclass=\"x\">c",
    "<b",
    "1 < 2 && 3 > 2",
];

#[test]
fn html_is_shown_as_it_was_typed_and_does_nothing() {
    for text in TYPED {
        for around in [(String::new(), ""), ("> ".to_owned(), ""), ("- ".to_owned(), "\n- b")] {
            let under = if around.0.starts_with('-') { "\n  " } else { "\n> " };
            let inner =
                if around.0.is_empty() { (*text).into() } else { text.replace('\n', under) };
            let html = plain(&format!("{}{inner}{}", around.0, around.1));
            let (tags, words) = taken_apart(html.as_str());
            assert!(tags.iter().all(|tag| is_harmless(tag)), "{text}: {html}");
            for line in text.lines() {
                assert!(words.contains(line), "{line} is gone from {html}");
            }
        }
    }
    let two = plain("<div>\n  MC-1\n</div>\n\n*after*");
    assert_eq!(
        two.as_str(),
        "<p>&lt;div&gt;<br>\n  MC-1<br>\n&lt;/div&gt;</p>\n<p><em>after</em></p>\n"
    );
    let find = |word: &str| (word == "MC-1").then(|| "/t".to_owned());
    let linked = render("<MC-1> <div>MC-1</div>", &find);
    assert_eq!(linked.as_str().matches("<a href=\"/t\"").count(), 2, "{linked}");
}

proptest! {
    #[test]
    fn whatever_is_put_together_draws_nothing_that_runs(
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(TYPED).prop_map(str::to_owned),
                prop::sample::select(&["\n", "\n\n", "`", "> ", "- ", "\\", "\"", "[a](", ")", "<", "-->", "**"][..])
                    .prop_map(str::to_owned),
                "[a-z<>&/ ]{0,6}",
            ],
            0..12,
        )
    ) {
        let text = parts.concat();
        let html = plain(&text);
        let (tags, _) = taken_apart(html.as_str());
        let own = |tag: &&str| !["<pre", "</pre", "<button", "</button", "<svg", "</svg", "<use", "</use", "<h", "</h"]
            .iter().any(|own| tag.starts_with(own));
        prop_assert!(tags.into_iter().filter(own).all(is_harmless), "{text:?}: {html}");
    }
}

#[test]
fn odd_links_and_pictures_from_elsewhere_do_not_survive() {
    let html = plain("[a](javascript:x) [b](data:text/html,x)\n\n![p](https://e.example/p.png)");
    for word in ["javascript:", "data:", "<img"] {
        assert!(!html.as_str().contains(word), "{word} survived in {html}");
    }
    assert!(html.as_str().contains("https://e.example/p.png"), "the picture is a link");
}

#[test]
fn headings_stand_below_the_page_heading_and_boxes_can_be_read() {
    let html = plain("# One\n\n- [x] done\n- [ ] open\n\n|a|b|\n|-|-|\n|1|2|\n");
    assert!(html.as_str().contains("<h2>One</h2>"));
    assert!(html.as_str().contains("checked"));
    assert!(html.as_str().contains("class=\"tick\""));
    assert!(html.as_str().contains("<td>1</td>"));
}

#[test]
fn items_of_a_checklist_are_buttons_where_they_can_be_pressed() {
    let text = "- [x] done <i>\n- [ ] a < \"b\"\n\n```\n- [ ] code\n```\n\n<input type=checkbox>";
    let html = with_ticks(text, &|_| None);
    let html = html.as_str();
    assert_eq!(html.matches("role=\"checkbox\"").count(), 2, "{html}");
    assert!(html.contains("aria-checked=\"true\"") && !html.contains("<input"), "{html}");
    assert!(html.contains("aria-label=\"a &lt; &quot;b&quot;\""), "{html}");
    assert!(html.contains("aria-label=\"done &lt;i&gt;\""), "{html}");
    assert!(!plain(text).as_str().contains("<button class=\"tick\""));
}

#[test]
fn pictures_that_lie_here_are_shown() {
    let here = "/w/marlow/files/0190-ab/content";
    let html = plain(&format!("![A plan]({here})"));
    assert!(html.as_str().contains("<img"), "{html}");
    assert!(html.as_str().contains(&format!("src=\"{here}\"")), "{html}");
    assert!(html.as_str().contains("alt=\"A plan\""), "{html}");
    for other in ["//w/m/files/1/content", "/w/m/files/1", "/w/../x/files/1/content", "/logout"] {
        let html = plain(&format!("![A plan]({other})"));
        assert!(!html.as_str().contains("<img"), "{html}");
    }
}

#[test]
fn an_excerpt_is_one_line_of_words() {
    assert_eq!(excerpt("# Title\n\nSome *bold* `code`\n\n- item", 80), "Title Some bold code item");
    assert_eq!(
        excerpt("A Vec<String>\n\n<div>\nb\n</div>\n\n```\ncode\n```", 80),
        "A Vec<String> <div> b </div> code"
    );
    assert_eq!(excerpt("äöü and more", 3), "äöü…");
    assert_eq!(excerpt("", 3), "");
    // The rest of a table is words, too.
    assert_eq!(excerpt("| --- | --: |\n| Cost | 410 |", 80), "Cost 410");
}

#[test]
fn footnotes_stand_at_the_end() {
    let html = render("Fits[^1] well.\n\n[^1]: By *Ada*.", &|_| None).to_string();
    assert!(html.contains("<sup>") && html.contains("<em>Ada</em>"), "{html}");
    assert!(!html.contains("[^1]") && !html.contains("#fn"), "{html}");
    assert!(html.find("<hr").is_some_and(|rule| html.find("well") < Some(rule)), "{html}");
}

proptest! {
    #[test]
    fn any_text_is_drawn_and_cut_between_two_characters(
        text in "([ -~]|[äßİ京あ한אبก]|\u{a0}|\u{2003}|\u{3000}|\u{2028}|\u{301}|\u{200d}|\u{1f469}|\u{202e}|\n|\t|\u{c}|[.!?。#<>&;@`*_|/-]){0,300}",
        max in 0_usize..60,
    ) {
        let drawn = render(&text, &|word| word.starts_with('@').then(|| "/x".to_owned()));
        drop(anchored(&drawn, str::to_owned));
        prop_assert!(excerpt(&text, max).chars().count() <= max + 1);
        for block in crate::blocks::of(&text) {
            prop_assert!(text.get(block.range.clone()).is_some(), "{:?}", block.range);
        }
        for block in crate::blocks::editable(&text) {
            prop_assert!(text.get(block.from..block.to).is_some());
        }
        prop_assert!(crate::file::clean_name(&text.repeat(2)).len() <= 255);
    }
}
