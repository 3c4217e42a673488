//! Daily limits of guests.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_learns_once_of_the_daily_limit_and_is_answered_again_a_day_later() {
    let scene = scene().await;
    let (chat, from) = bob();
    scene.telegram.say(TOKEN, &chat, &from, "Hello");
    scene.telegram.wait_sent(TOKEN, 1).await;
    let people: Vec<ChannelPerson> = work::all(&scene.hq);
    let approve = format!("channel-people/{}/approve", people[0].id);
    let approved = scene.op(&approve, json!({ "as": "guest" })).await;
    assert_eq!(approved.json()["access"], "guest", "{}", approved.text);
    scene.telegram.wait_sent(TOKEN, 2).await;
    for _ in 0..20 {
        scene.telegram.say(TOKEN, &chat, &from, "/help");
    }
    scene.telegram.wait_sent(TOKEN, 22).await;
    assert!(scene.texts()[21].contains("/help"), "{:?}", scene.texts());

    for _ in 0..2 {
        scene.telegram.say(TOKEN, &chat, &from, "/help");
    }
    scene.handled(23).await;
    scene.sent().await;
    let texts = scene.texts();
    assert!(texts.len() == 23 && texts[22].contains("write again tomorrow"), "{texts:?}");
    let verdicts = scene.messages().into_iter().map(|one| one.verdict);
    assert_eq!(verdicts.filter(|verdict| verdict == "daily limit").count(), 2);

    // Files over the limit are not downloaded.
    let document = json!({ "file_id": "f1", "file_name": "leads.csv", "file_size": 15 });
    let message = json!({ "chat": chat.0, "from": from.0, "document": document });
    scene.telegram.say_with(TOKEN, json!({ "message": message }));
    scene.handled(24).await;
    assert_eq!(scene.telegram.called(TOKEN, "getFile"), 0);

    scene.hq.advance(Duration::from_secs(25 * 3600)).await;
    scene.telegram.at(scene.hq.now().as_second());
    scene.telegram.say(TOKEN, &chat, &from, "/help");
    let texts = scene.telegram.wait_sent(TOKEN, 24).await;
    assert!(texts[23].text.contains("/help"), "{texts:?}");
    scene.hq.finish().await;
}
