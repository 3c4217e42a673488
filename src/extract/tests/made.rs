//! Features of each format, one by one.

use super::{Kind, Limits, State, docx, extract, odf, read, relations, whole, zipped};

const STYLES: &str = r#"<w:styles>
    <w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
    <w:style w:styleId="Mine"><w:basedOn w:val="berschrift2"/></w:style>
    <w:style w:styleId="Own"><w:name w:val="own"/><w:pPr><w:outlineLvl w:val="3"/></w:pPr></w:style>
    <w:style w:styleId="Point"><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>
    </w:styles>"#;
const LISTS: &str = r#"<w:numbering>
    <w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
    <w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl>
    <w:lvl w:ilvl="1"><w:numFmt w:val="lowerLetter"/></w:lvl></w:abstractNum>
    <w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>
    <w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num></w:numbering>"#;

fn p(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn word(body: &str) -> String {
    whole(&read(&docx(body, &[("styles", "styles.xml", STYLES), ("numbering", "n.xml", LISTS)])))
}

#[test]
fn headings_and_lists_of_word_are_found_by_their_styles() {
    let point = |level: u8, text: &str| {
        p(
            &format!(
                r#"<w:pStyle w:val="Point"/><w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="2"/></w:numPr>"#
            ),
            text,
        )
    };
    let body = [
        p(r#"<w:pStyle w:val="Mine"/><w:numPr><w:numId w:val="2"/></w:numPr>"#, "Two"),
        p(r#"<w:pStyle w:val="Own"/>"#, "Four"),
        p(r#"<w:outlineLvl w:val="0"/>"#, "One"),
        p(r#"<w:pStyle w:val="Mine"/><w:outlineLvl w:val="9"/>"#, "Two still"),
        p(r#"<w:pStyle w:val="Point"/>"#, "bullet"),
        point(0, "one"),
        point(1, "a"),
        point(1, "b"),
        point(0, "two"),
        point(1, "a again"),
        p(r#"<w:pStyle w:val="Point"/><w:numPr><w:numId w:val="0"/></w:numPr>"#, "no point"),
        p(r#"<w:pPrChange><w:pPr><w:pStyle w:val="Mine"/></w:pPr></w:pPrChange>"#, "# plain"),
    ];
    assert_eq!(
        word(&body.concat()),
        "## Two\n\n#### Four\n\n# One\n\n## Two still\n\n- bullet\n1. one\n    1. a\n    2. b\n2. two\n    \
         1. a again\n\nno point\n\n\\# plain"
    );
    let plain = docx(&p(r#"<w:pStyle w:val="Heading3"/>"#, "No styles"), &[]);
    assert_eq!(whole(&read(&plain)), "### No styles");
}

#[test]
fn deleted_text_is_out_inserted_text_in_and_boxes_stand_once() {
    let body = "<w:p><w:r><w:t>Pay </w:t></w:r>\
        <w:del><w:r><w:delText>100</w:delText></w:r><w:r><w:t>hidden</w:t></w:r></w:del>\
        <w:ins><w:r><w:t>200</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom>\
        <w:r><w:tab/><w:t>now</w:t><w:br/><w:t>or&#32;never&amp;</w:t></w:r>\
        <w:r><w:instrText>PAGE</w:instrText></w:r>\
        <w:hyperlink r:id='x'><w:r><w:t>linked</w:t></w:r></w:hyperlink></w:p>\
        <w:p><w:r><w:t>Anchor</w:t><mc:AlternateContent><mc:Choice><wps:txbx><w:txbxContent>\
        <w:p><w:r><w:t>In a box</w:t></w:r></w:p></w:txbxContent></wps:txbx></mc:Choice>\
        <mc:Fallback><w:pict><w:txbxContent><w:p><w:r><w:t>In a box</w:t></w:r></w:p></w:txbxContent>\
        </w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>";
    assert_eq!(word(body), "Pay 200 now\nor never&linked\n\nIn a box\n\nAnchor");
}

#[test]
fn notes_of_word_stand_at_the_end_and_tables_in_pipes() {
    let body = "<w:p><w:r><w:t>Said</w:t><w:endnoteReference w:id='2'/><w:t> and</w:t>\
        <w:footnoteReference w:id='2'/></w:r></w:p>\
        <w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc>\
        <w:tc><w:p/></w:tc></w:tr><w:tr><w:tc><w:p><w:r><w:t>1|2</w:t></w:r></w:p></w:tc><w:tc>\
        <w:tbl><w:tr><w:tc><w:p><w:r><w:t>x</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>y</w:t></w:r></w:p>\
        </w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>";
    let note = |kind: &str, text: &str| {
        format!(
            "<w:{kind}s><w:{kind} w:type='separator' w:id='0'><w:p><w:r><w:t>no</w:t></w:r></w:p></w:{kind}>\
             <w:{kind} w:id='2'><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:{kind}></w:{kind}s>"
        )
    };
    let (foot, end) = (note("footnote", "at the foot"), note("endnote", "at the end"));
    let bytes = docx(body, &[("footnotes", "f.xml", &foot), ("endnotes", "e.xml", &end)]);
    assert_eq!(
        whole(&read(&bytes)),
        "Said[^1] and[^2]\n\n| a b | |\n| --- | --- |\n| 1\\|2 | x y |\n\n\
         [^2]: at the foot\n\n[^1]: at the end"
    );
}

#[test]
fn slides_stand_in_the_order_of_the_presentation() {
    let slide = |title: &str, body: &str| {
        format!(
            "<p:sld><p:sp><p:nvSpPr><p:nvPr><p:ph type='title'/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r>\
             <a:t>{title}</a:t></a:r></a:p></p:txBody></p:sp>{body}<p:sp><p:nvPr><p:ph type='sldNum'/></p:nvPr>\
             <p:txBody><a:p><a:fld><a:t>7</a:t></a:fld></a:p></p:txBody></p:sp></p:sld>"
        )
    };
    let body = "<p:sp><p:nvPr><p:ph idx='1'/></p:nvPr><p:txBody><a:lstStyle><a:lvl1pPr><a:buNone/></a:lvl1pPr>\
        </a:lstStyle><a:p><a:r><a:t>point</a:t></a:r></a:p><a:p><a:pPr lvl='1'/><a:r><a:t>inner</a:t></a:r></a:p>\
        </p:txBody></p:sp><p:sp><p:txBody><a:p><a:pPr><a:buAutoNum/></a:pPr><a:r><a:t>one</a:t></a:r></a:p>\
        <a:p><a:pPr><a:buAutoNum/></a:pPr><a:r><a:t>two</a:t></a:r></a:p></p:txBody></p:sp>";
    let bytes = zipped(&[
        ("_rels/.rels", &relations(&[("r", "officeDocument", "ppt/presentation.xml")])),
        (
            "ppt/presentation.xml",
            "<p:presentation><p:sldIdLst><p:sldId id='256' r:id='b'/><p:sldId r:id='a' id='257'/>\
             <p:sldId id='258' r:id='lost'/></p:sldIdLst></p:presentation>",
        ),
        (
            "ppt/_rels/presentation.xml.rels",
            &relations(&[("a", "slide", "slides/1.xml"), ("b", "slide", "/ppt/slides/2.xml")]),
        ),
        ("ppt/slides/1.xml", &slide("First made", "")),
        ("ppt/slides/2.xml", &slide("First\u{b}shown", body)),
        ("ppt/slides/_rels/2.xml.rels", &relations(&[("n", "notesSlide", "../notes/2.xml")])),
        (
            "ppt/notes/2.xml",
            "<p:notes><p:sp><p:nvPr><p:ph type='sldImg'/></p:nvPr><p:txBody><a:p><a:r><a:t>no</a:t></a:r></a:p>\
             </p:txBody></p:sp><p:sp><p:nvPr><p:ph type='body'/></p:nvPr><p:txBody><a:p><a:r><a:t>Say so</a:t>\
             </a:r></a:p></p:txBody></p:sp></p:notes>",
        ),
    ]);
    let found = read(&bytes);
    assert_eq!((found.kind, found.pages), (Kind::Pptx, Some(2)));
    assert_eq!(
        whole(&found),
        "[1]\n## Slide 1: First shown\n\n- point\n    - inner\n\n1. one\n2. two\n\nNotes:\nSay so\n\n\
         [2]\n## Slide 2: First made"
    );
}

#[test]
fn opendocument_is_read_without_what_was_deleted() {
    let found = read(&odf(
        "text",
        "<office:automatic-styles><text:list-style style:name='L'>\
         <text:list-level-style-number text:level='1' style:num-format='1'/>\
         <text:list-level-style-bullet text:level='2'/></text:list-style></office:automatic-styles>\
         <office:body><office:text><text:tracked-changes><text:changed-region><text:deletion>\
         <text:p>gone</text:p></text:deletion></text:changed-region></text:tracked-changes>\
         <text:h text:outline-level='2'>Head <text:span>of</text:span><text:s text:c='9'/>it</text:h>\
         <text:list text:style-name='L'><text:list-item><text:p>one</text:p><text:p>more</text:p>\
         <text:list><text:list-item><text:p>in</text:p></text:list-item></text:list></text:list-item>\
         <text:list-item><text:p>two</text:p></text:list-item></text:list>\
         <text:p>Text<text:note><text:note-citation>1</text:note-citation><text:note-body>\
         <text:p>below</text:p></text:note-body></text:note> goes<text:line-break/>on\
         <office:annotation><text:p>remark</text:p></office:annotation>\
         <draw:frame><svg:title>alt</svg:title><draw:text-box><text:p>box</text:p></draw:text-box>\
         </draw:frame>.</text:p><table:table><table:table-row><table:table-cell><text:p>a</text:p>\
         </table:table-cell><table:covered-table-cell/></table:table-row></table:table>\
         </office:text></office:body>",
    ));
    assert_eq!(
        whole(&found),
        "## Head of it\n\n1. one\n\nmore\n\n- in\n2. two\n\nbox\n\nText[^1] goes\non.\n\n\
         | a | |\n| --- | --- |\n\n[^1]: below"
    );
}

#[test]
fn a_book_is_read_by_its_spine_wherever_its_chapters_lie() {
    let book = |rest: &str, order: &str| {
        zipped(&[
            ("mimetype", "application/epub+zip"),
            ("META-INF/container.xml", "<rootfiles><rootfile full-path='O/b.opf'/></rootfiles>"),
            (
                "O/b.opf",
                &format!(
                    "<package><metadata><dc:title>A &amp; B</dc:title></metadata><manifest>\
                     <item id='1' href='a%20b.xhtml#x'/><item id='2' href='../../../c.xhtml'/></manifest>\
                     <spine>{order}</spine></package>"
                ),
            ),
            (
                "O/a b.xhtml",
                "<?xml version='1.0'?><!DOCTYPE html><html><title/><p hidden=''/><p>a&nbsp;&eacute;</p></html>",
            ),
            ("c.xhtml", "<html><body><p>c</body></html>"),
            ("META-INF/encryption.xml", rest),
        ])
    };
    let order = "<itemref idref='2'/><itemref idref='1'/><itemref idref='3'/>";
    let fonts = "<EncryptionMethod Algorithm='http://www.idpf.org/2008/embedding'/>";
    let found = read(&book(fonts, order));
    assert_eq!((whole(&found), found.title.as_deref()), ("c\n\na é".to_owned(), Some("A & B")));
    let locked = book("<EncryptionMethod Algorithm='http://x/aes'/>", order);
    assert_eq!(super::refused(&locked), super::Refused::Encrypted);
}

#[test]
fn pages_are_read_without_what_is_run_or_hidden() {
    let page = "<!doctype html><head><meta charset=iso-8859-1><title>A &lt; B</title>\
        <style>p{}</style></head><body><nav><a href='/'>Home</a></nav><h1>Head\n  two</h1>\
        <p>One <b>bold</b><script>alert(1)</script> <a href='https://a.example/?a&amp;b'>link</a>\
        <p hidden>no<div style='display: none'><div>no</div>no</div>\
        <ul><li>a<li><p>b</p><ol><li>x</ol></ul><pre>let a\n  = 1;</pre>\
        <table><tr><th>k<th>v<tr><td>1<td>2</table><table><tr><td>layout</td></tr></table>\
        caf\u{e9} 1 < 2<img alt='A picture'>";
    let latin: Vec<u8> = page.chars().map(|sign| sign as u8).collect();
    let found = extract(&latin, "a.txt", &Limits::default()).expect("a page");
    assert_eq!((found.kind, found.title.as_deref()), (Kind::Html, Some("A < B")));
    assert_eq!(
        whole(&found),
        "Home\n\n# Head two\n\nOne bold [link](https://a.example/?a&b)\n\n- a\n- b\n    1. x\n\n\
         ```\nlet a\n  = 1;\n```\n\n| k | v |\n| --- | --- |\n| 1 | 2 |\n\nlayout\n\ncafé 1 < 2A picture"
    );
}

#[test]
fn texts_stay_as_they_are_and_tables_become_such() {
    let named = |name: &str, bytes: &[u8]| {
        let found = extract(bytes, name, &Limits::default()).expect("a text");
        (found.kind, whole(&found), found.title)
    };
    let markdown = "Intro\n# Head\n<p>x";
    assert_eq!(
        named("a.md", markdown.as_bytes()),
        (Kind::Markdown, markdown.to_owned(), Some("Head".to_owned()))
    );
    assert_eq!(named("a.json", b"{\"a\": 1}"), (Kind::Json, "{\"a\": 1}".to_owned(), None));
    assert_eq!(named("a.rs", b"# no\n").1, "# no\n");
    assert_eq!(named("x.txt", b"\xff\xfeG\0r\0\xfc\0n\0").1, "Grün");
    assert_eq!(
        named("a.csv", b"Export of May\n\nName;City\nZo\xeb;K\xf6ln\n").1,
        "| Export of May | |\n| --- | --- |\n| Name | City |\n| Zoë | Köln |"
    );
    // A broken table is read as text.
    let torn = extract(b"a,b\nc,\"d\n", "a.csv", &Limits::default()).expect("a text");
    assert_eq!((whole(&torn).as_str(), torn.notes.len()), ("a,b\nc,\"d\n", 1));
}

#[test]
fn what_has_no_text_is_no_failure() {
    let scan = b"%PDF-1.4\n1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj\n\
        2 0 obj <</Type /Pages /Kids [3 0 R]>> endobj\n3 0 obj <</Type /Page>> endobj\n\
        trailer <</Root 1 0 R>>";
    for (bytes, kind) in [
        (&scan[..], Kind::Pdf),
        (b"", Kind::Text),
        (b" \n\t ", Kind::Text),
        (b"\x89PNG\r\n\x1a\n....", Kind::Image),
        (b"<html></html>", Kind::Html),
        (&docx("<w:p/>", &[]), Kind::Docx),
        (&odf("presentation", "<draw:page/>"), Kind::Odp),
    ] {
        let found = read(bytes);
        assert_eq!((found.kind, found.state, found.parts.len()), (kind, State::NoText, 0));
    }
}

/// A chart with a title of two runs, two series, two categories and an axis title.
const CHART: &str = "<c:chartSpace><c:chart><c:title><c:tx><c:rich><a:p><a:r><a:t>Sales </a:t></a:r><a:r>\
    <a:t>2026</a:t></a:r></a:p></c:rich></c:tx></c:title><c:plotArea><c:barChart>\
    <c:ser><c:tx><c:strRef><c:f>S!$B$1</c:f><c:strCache><c:pt><c:v>North</c:v></c:pt></c:strCache></c:strRef></c:tx>\
    <c:cat><c:strRef><c:f>S!$A$2</c:f><c:strCache><c:pt><c:v>May</c:v></c:pt><c:pt><c:v>R &amp; D</c:v></c:pt>\
    </c:strCache></c:strRef></c:cat><c:val><c:numRef><c:numCache><c:pt><c:v>77</c:v></c:pt></c:numCache></c:numRef>\
    </c:val></c:ser><c:ser><c:tx><c:v>South</c:v></c:tx><c:cat><c:strRef><c:strCache><c:pt><c:v>May</c:v></c:pt>\
    </c:strCache></c:strRef></c:cat></c:ser></c:barChart><c:catAx><c:title><c:tx><c:rich><a:p><a:r><a:t>Month</a:t>\
    </a:r></a:p></c:rich></c:tx></c:title></c:catAx></c:plotArea></c:chart></c:chartSpace>";
const CHART_TEXT: &str =
    "Chart: Sales 2026\nSeries: North, South\nCategories: May, R & D\nAxes: Month";

#[test]
fn charts_tell_their_names_and_comments_are_read() {
    let comments = "<w:comments><w:comment><w:p><w:r><w:t>Check this sum</w:t></w:r></w:p></w:comment></w:comments>";
    let bytes = docx(
        "<w:p><w:r><w:t>Report</w:t></w:r></w:p>",
        &[
            ("chart", "charts/chart1.xml", CHART),
            ("comments", "comments.xml", comments),
            ("chart", "charts/chart2.xml", "<c:chartSpace><broken"),
        ],
    );
    let text = whole(&read(&bytes));
    assert_eq!(text, format!("Report\n\nComments:\n\nCheck this sum\n\n{CHART_TEXT}"));
    // In a workbook, charts follow the sheets.
    let sheets = zipped(&[
        ("_rels/.rels", &relations(&[("r", "officeDocument", "xl/workbook.xml")])),
        ("xl/workbook.xml", "<workbook><sheets><sheet name='A' r:id='w'/></sheets></workbook>"),
        ("xl/_rels/workbook.xml.rels", &relations(&[("w", "worksheet", "s.xml")])),
        (
            "xl/s.xml",
            "<worksheet><sheetData><row><c t='str'><v>word</v></c></row></sheetData></worksheet>",
        ),
        ("xl/charts/chart1.xml", CHART),
    ]);
    let text = whole(&read(&sheets));
    assert!(text.starts_with("[1]\n## A\n\nword") && text.ends_with(CHART_TEXT), "{text}");
}

#[test]
fn hidden_slides_are_marked_and_have_their_charts_and_comments() {
    let slide = "<p:sld show='0'><p:sp><p:txBody><a:p><a:r><a:t>Plan B</a:t></a:r></a:p></p:txBody></p:sp></p:sld>";
    let bytes = zipped(&[
        ("_rels/.rels", &relations(&[("r", "officeDocument", "ppt/presentation.xml")])),
        ("ppt/presentation.xml", "<p:presentation><p:sldId id='1' r:id='a'/></p:presentation>"),
        ("ppt/_rels/presentation.xml.rels", &relations(&[("a", "slide", "slides/1.xml")])),
        ("ppt/slides/1.xml", slide),
        (
            "ppt/slides/_rels/1.xml.rels",
            &relations(&[("c", "chart", "../charts/c.xml"), ("n", "comments", "../comments.xml")]),
        ),
        ("ppt/charts/c.xml", CHART),
        ("ppt/comments.xml", "<p:cmLst><p:cm><p:text>too &amp; late</p:text></p:cm></p:cmLst>"),
    ]);
    let text = whole(&read(&bytes));
    let wanted = format!("Plan B\n\n{CHART_TEXT}\n\nComments:\n\n- too & late");
    assert_eq!(text, format!("[1]\n## Slide 1 (hidden)\n\n{wanted}"));

    let content = "<office:document-content><office:automatic-styles><style:style style:name='dp1' \
        style:family='drawing-page'><style:drawing-page-properties presentation:visibility='hidden'/></style:style>\
        </office:automatic-styles><office:body><draw:page draw:style-name='dp1'><draw:frame><draw:text-box>\
        <text:p>Secret</text:p></draw:text-box></draw:frame></draw:page><draw:page draw:style-name='dp2'><draw:frame>\
        <draw:text-box><text:p>Shown</text:p></draw:text-box></draw:frame></draw:page></office:body>\
        </office:document-content>";
    let slides = zipped(&[
        ("mimetype", "application/vnd.oasis.opendocument.presentation"),
        ("content.xml", content),
    ]);
    assert_eq!(
        whole(&read(&slides)),
        "[1]\n## Slide 1 (hidden)\n\nSecret\n\n[2]\n## Slide 2\n\nShown"
    );
}

#[test]
fn spreadsheets_of_opendocument_are_read_as_they_are_shown_with_what_is_hidden_or_noted() {
    let content = "<office:automatic-styles><style:style style:name='ta1'><style:table-properties table:display='true'/>\
        </style:style><style:style style:name='ta2'><style:table-properties table:display='false'/></style:style>\
        </office:automatic-styles><office:spreadsheet><table:table table:name='Rates' table:style-name='ta1'>\
        <table:table-row><table:table-cell office:value-type='percentage' office:value='0.075'>\
        <office:annotation><dc:creator>Ada</dc:creator><text:p>since<text:s/>May</text:p><text:p>2026</text:p>\
        </office:annotation><text:p>7.5 %</text:p></table:table-cell>\
        <table:table-cell office:value-type='currency' office:value='1234.5'><text:p>$1,234.50</text:p></table:table-cell>\
        <table:table-cell office:value-type='float' office:value='77'><text:p>###</text:p></table:table-cell>\
        <table:table-cell table:number-columns-repeated='16380'/><table:table-cell office:value-type='string'>\
        <text:p>LAST</text:p></table:table-cell></table:table-row></table:table>\
        <table:table table:name='Pay' table:style-name='ta2'><table:table-row><table:table-cell><text:p>secret</text:p>\
        </table:table-cell></table:table-row></table:table></office:spreadsheet>";
    assert_eq!(
        whole(&read(&odf("spreadsheet", content))),
        "[1]\n## Rates\n\n| 7.5 % | $1,234.50 | 77 |\n| --- | --- | --- |\n\n\
         Cells far to the right:\n\n- XFD1: LAST\n\nComments:\n\n- A1: since May 2026\n\n\
         [2]\n## Pay (hidden)\n\nsecret"
    );
}
