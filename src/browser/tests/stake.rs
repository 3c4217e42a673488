//! Tests of what an act would affect, before it is done.

use super::act::find;
use super::{Host, Site};
use crate::BrowserError;
use crate::act::{Aim, Point};

const PAGE: &str = "<title>Pay</title><style>body{margin:0}</style><button>Plain</button>
    <form action=/pay><input name=action value=x><input name=elements>
    <label>Mail <input name=mail value=m@a.test></label>
    <label>Card <input autocomplete=cc-number value=4111></label>
    <label>Word <input type=password value=planted></label><button>Pay now</button></form>
    <a href=/file download>File</a><iframe title=frame src=http://b.test/></iframe>";

#[tokio::test(flavor = "multi_thread")]
async fn what_an_act_would_reach_is_told_before_it_is_done() {
    let host = Host::new(Site::new(|host, _path| {
        Site::page(if host == "a.test" { PAGE } else { "<button>Inner</button>" })
    }));
    let page = host.browser.open("http://a.test/").await.unwrap();
    let pay = find(&page, "button \"Pay now\"").await;
    let stake = page.stake(Aim::Part(pay)).await.unwrap();
    assert_eq!((stake.number, stake.name.as_str()), (Some(pay), "Pay now"));
    assert_eq!((stake.frame_url.as_str(), stake.is_field), ("http://a.test/", false));
    let form = &stake.form;
    assert_eq!(form.to, "http://a.test/pay", "a field of that name hides nothing");
    assert!(form.has_password && form.has_payment && !form.has_file, "{form:?}");
    assert!(form.fields.contains(&("Mail".into(), Some("m@a.test".into()))), "{form:?}");
    assert!(!format!("{form:?}").contains("planted"), "{form:?}");

    let mail = page.stake(Aim::Part(find(&page, "textbox \"Mail\"").await)).await.unwrap();
    assert!(mail.is_field);
    let plain = page.stake(Aim::Part(find(&page, "button \"Plain\"").await)).await.unwrap();
    assert!(!plain.form.has_password && plain.form.to.is_empty(), "{plain:?}");
    let at = page.stake(Aim::Place(Point { x: 5.0, y: 5.0 })).await.unwrap();
    assert_eq!(at, plain, "a place is the part that lies there");
    assert!(page.stake(Aim::Part(find(&page, "link \"File\"").await)).await.unwrap().downloads);
    let inner = page.stake(Aim::Part(find(&page, "button \"Inner\"").await)).await.unwrap();
    assert_eq!(inner.frame_url, "http://b.test/");
    let nothing = page.stake(Aim::Focus).await.unwrap();
    assert_eq!((nothing.number, nothing.page_url.as_str()), (None, "http://a.test/"));
    let gone = page.stake(Aim::Part(9_999)).await.unwrap_err();
    assert!(matches!(gone, BrowserError::Stale { .. }), "{gone}");

    let spot = page.spot(pay).await.unwrap();
    assert!(0 < spot.width && spot.width < 5_000 && 0 < spot.height, "{spot:?}");
    let picture = page.small_picture(60 * 1024).await.unwrap().expect("it is small");
    assert!(picture.len() <= 60 * 1024 && picture[..3] == [0xff, 0xd8, 0xff]);
}
