//! Tests of PDFs in a tab.

use super::site::Reply;
use super::{Host, Site};
use crate::BrowserError;

fn pdf(pages: usize) -> Vec<u8> {
    let mut body = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
        3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n"
        .to_vec();
    body.resize(body.len() + pages, b' ');
    body.extend_from_slice(b"\ntrailer<</Root 1 0 R>>\n%%EOF");
    body
}

fn site() -> Site {
    Site::new(|_host, path| match path {
        "" => Site::page("<title>Files</title><script>document.cookie = 'key=1'</script>"),
        path => Reply::Bytes {
            status: "200 OK",
            head: "content-type: application/pdf\r\ncache-control: no-store\r\n".to_owned(),
            body: pdf(if path == "huge.pdf" { crate::pdf::MAX_PDF } else { 10 }),
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_pdf_come_through_the_tab_and_within_a_size() {
    let host = Host::new(site());
    let page = host.browser.open("http://a.test/").await.unwrap();
    assert!(!page.shows_pdf().await.unwrap());
    let opened = page.navigate("http://a.test/small.pdf").await.unwrap();
    assert!(!opened.is_download, "{opened:?}");
    assert!(page.shows_pdf().await.unwrap());
    assert_eq!(page.pdf_bytes().await.unwrap(), pdf(10));
    let requests = host.site.requests();
    assert!(requests.iter().filter(|one| one.contains("small.pdf")).count() <= 2, "{requests:?}");

    page.navigate("http://a.test/huge.pdf").await.unwrap();
    let refused = page.pdf_bytes().await.unwrap_err();
    assert!(matches!(refused, BrowserError::Pdf(_)), "{refused}");
    assert!(refused.to_string().contains("larger than 20 MB"), "{refused}");
}
