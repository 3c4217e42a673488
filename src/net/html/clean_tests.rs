//! Cleaning of malicious pages.

use super::*;

fn cleaned(page: &str) -> Cleaned {
    clean(page, &Url::parse("https://example.com/dir/page").unwrap())
}

fn html(page: &str) -> String {
    cleaned(page).html
}

const LONG: &str = "A sentence that is long enough to count as content of a page. ";

#[test]
fn what_is_not_text_is_left_out() {
    let page = "<body><script>x()</script><style>p{}</style><p>One<svg><title>T</title><path/></svg></p>\
        <noscript>no</noscript><iframe src=x>f</iframe><template><p>t</p></template>\
        <button>Press</button><textarea>typed</textarea><p>Two</p>";
    assert_eq!(html(page), "<div><p>One</p><p>Two</p></div>");
}

#[test]
fn hidden_things_are_left_out() {
    let page = "<div><p hidden>a</p><p aria-hidden=TRUE>b</p><p style='color:red; DISPLAY : none'>c</p>\
        <p style=visibility:hidden>d<p>shown<img alt=x src=/x hidden></div>";
    assert_eq!(html(page), "<div><p>shown</p></div>");
}

#[test]
fn the_title_is_taken_from_the_head() {
    let page = "<head><title> A &amp; B\n  <i>c</i> </title><meta charset=x></head><body><p>x";
    assert_eq!(cleaned(page).title.as_deref(), Some("A & B <i>c</i>"));
    assert_eq!(cleaned("<title> </title>x").title, None);
    assert_eq!(
        cleaned("<svg><title>icon</title></svg><title>Page</title>x").title.as_deref(),
        Some("Page")
    );
}

#[test]
fn the_main_part_is_preferred() {
    let long = LONG.repeat(8);
    let nav = "<nav><a href=/>Home</a></nav>";
    let main =
        format!("<body>{nav}<div>{long}</div><main><h1>M</h1>{long}</main><footer>F</footer>");
    let found = cleaned(&main);
    assert_eq!(found.part, Part::Main);
    assert!(found.html.starts_with("<h1>M</h1>A sentence") && !found.html.contains("Home"));

    let article = format!("{nav}<article><header><h1>T</h1></header>{long}</article><p>more</p>");
    let found = cleaned(&article);
    assert_eq!(found.part, Part::Article);
    assert!(found.html.contains("<h1>T</h1>") && !found.html.contains("more"));

    let list = format!("<article>{LONG}</article><article>{LONG}</article>").repeat(5);
    assert_eq!(cleaned(&list).part, Part::Body);
}

#[test]
fn the_surroundings_are_left_out_unless_they_are_all_there_is() {
    let long = LONG.repeat(8);
    let page = format!(
        "<header>H</header><nav>N</nav><div role=banner>B</div><p>{long}</p><aside>A</aside><footer>F</footer>"
    );
    assert_eq!(html(&page), format!("<p>{long}</p>"));
    let page = format!("<header><p>{long}</p></header>x");
    assert_eq!(cleaned(&page).part, Part::Everything);
    assert!(html(&page).contains("A sentence"));
    let unclosed = format!("<nav><a href=/>Home</a><div><p>{long}</p></div>");
    assert_eq!(cleaned(&unclosed).part, Part::Everything);
}

#[test]
fn what_is_called_the_surroundings_is_left_out_unless_it_is_nearly_all() {
    let long = LONG.repeat(8);
    let page = format!(
        "<div class='Sidebar left'>S</div><ul id=breadcrumbs><li>B</ul><div class=content><p>{long}</p>\
         <div class=has-sidebar>kept</div></div><div class='wide footer'>F</div>"
    );
    assert_eq!(html(&page), format!("<div><p>{long}</p><div>kept</div></div>"));
    let page = format!("<div class=sidebar><p>{}</p></div><p>{long}</p>", LONG.repeat(40));
    assert!(html(&page).len() > LONG.len() * 40, "it calls its content so");
    let short = "<div class=nav>N</div><p>x</p>";
    assert!(html(short).contains('N'), "a short page is shown as it is");
}

#[test]
fn links_become_whole_addresses() {
    for (given, expected) in [
        ("a.html", Some("https://example.com/dir/a.html")),
        ("/a?b=1&amp;c=2#d", Some("https://example.com/a?b=1&amp;c=2#d")),
        ("//other.org/", Some("https://other.org/")),
        ("mailto:a@b.org", Some("mailto:a@b.org")),
        ("#top", None),
        ("", None),
        ("javascript:alert(1)", None),
        ("java\nscript:alert(1)", None),
        ("data:text/html,x", None),
        ("http://[bad/", None),
    ] {
        let expected = match expected {
            Some(address) => format!("<a href=\"{address}\">t</a>"),
            None => "t".to_owned(),
        };
        assert_eq!(html(&format!("<a href=\"{given}\">t</a>")), expected, "{given}");
    }
    assert_eq!(
        html("<base href='https://base.org/x/'><a href=y>t</a>"),
        "<a href=\"https://base.org/x/y\">t</a>"
    );
}

#[test]
fn pictures_stay_if_they_say_what_they_show() {
    assert_eq!(
        html("<img src=/a.png alt=' A \"cat\" '><img src=/b.png><img alt=c src=data:x>"),
        "<img alt=\"A &quot;cat&quot;\" src=\"https://example.com/a.png\">"
    );
}

#[test]
fn the_result_is_well_nested() {
    for (page, expected) in [
        ("<p>a<p>b", "<p>a</p><p>b</p>"),
        ("<p>a<b>b<div>c</div>d", "<p>a<strong>b</strong></p><div>c</div>d"),
        (
            "<ul><li>a<li>b<ul><li>c</ul><li>d</ul>",
            "<ul><li>a</li><li>b<ul><li>c</li></ul></li><li>d</li></ul>",
        ),
        ("<b>a<i>b</b>c</i>", "<strong>a<em>b</em></strong>c"),
        ("</div>a</p>", "a"),
        (
            "<table><tr><td>a<td>b<tr><th>c</table>",
            "<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>",
        ),
        ("<td>a</td><tr>b", "ab"),
        (
            "<a href=/x>a<a href=/y>b",
            "<a href=\"https://example.com/x\">a</a><a href=\"https://example.com/y\">b</a>",
        ),
        ("1 < 2 & 3 &lt; 4", "1 &lt; 2 & 3 &lt; 4"),
        ("<span>a</span><custom-tag>b</custom-tag>", "ab"),
    ] {
        assert_eq!(html(page), expected, "{page}");
    }
}

#[test]
fn hostile_pages_stay_small_and_flat() {
    let pages = [
        "<div>".repeat(37_000),
        "<b><i><u><font color=1>".repeat(7_000),
        "<p><a href=x><b>x</p>".repeat(7_000),
        "<table><tr><td>".repeat(10_000),
        "</div>".repeat(25_000) + &"<div></b>".repeat(20_000),
        "<ul><li>".repeat(20_000),
        "<i>".repeat(2_000) + &"<p>".repeat(50_000),
        "<".repeat(175_000),
        "<!--".repeat(42_000),
        "<a href=\"".repeat(20_000),
        "<script>".repeat(22_000),
        "&".repeat(175_000),
        format!("<p {}>", "a=b ".repeat(45_000)),
    ];
    for page in pages {
        let html = html(&page);
        assert!(html.len() <= page.len() * 6, "{}", &page[..20]);
        let (mut depth, mut deepest) = (0i64, 0);
        for token in Scanner::new(&html) {
            match token {
                Token::Open(tag) if !VOID.contains(&tag.name.as_str()) => depth += 1,
                Token::Close(_) => depth -= 1,
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        assert_eq!(depth, 0);
        assert!(deepest <= MAX_DEPTH as i64, "{deepest}");
    }
}
