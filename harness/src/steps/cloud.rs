//! The simulated internet besides airtun: MQTT broker, HTTP and FTP servers.

use airbench_luatos::{fota, luadb};
use airbench_trace::{Event, Kind};
use airbench_world::{Action, Route};
use cucumber::{given, then, when};

use super::Span;
use crate::bench::Wanted;
use crate::peer::escapes;
use crate::scenario::{Scenario, StepResult};

/// Makes the HTTP server answer a path with a text.
#[given(expr = "the HTTP server answers {string} with {string}")]
async fn route_step(s: &mut Scenario, path: String, text: String) -> StepResult {
    s.use_route(Route {
        path,
        status: 200,
        content: Some(escapes(&text)?),
        ..Route::default()
    });
    Ok(())
}

/// Makes the HTTP server answer a path with a status.
#[given(expr = "the HTTP server answers {string} with status {int}")]
async fn status_step(s: &mut Scenario, path: String, status: u16) {
    s.use_route(Route {
        path,
        status,
        ..Route::default()
    });
}

/// Offers a firmware as a FOTA package under a path of the HTTP server.
#[given(expr = "the HTTP server offers the firmware {string} as an update at {string}")]
async fn update_step(s: &mut Scenario, firmware: String, path: String) -> StepResult {
    let scripts = s.load_firmware(&firmware)?;
    let image = luadb::write(&scripts).map_err(|error| error.to_string())?;
    s.use_route(Route {
        path,
        status: 200,
        content: Some(fota::package(&image)),
        ..Route::default()
    });
    Ok(())
}

/// Puts a file on the FTP server.
#[given(expr = "the FTP server has the file {string} with {string}")]
async fn ftp_file_step(s: &mut Scenario, path: String, text: String) -> StepResult {
    route_step(s, path, text).await
}

/// Publishes a message through the broker, as another client would.
#[when(expr = "{string} is published to {string}")]
async fn publish_step(s: &mut Scenario, text: String, topic: String) -> StepResult {
    s.act(Action::Publish(topic, escapes(&text)?, 0, false))
        .await
}

/// Waits for a message at the MQTT broker: payload and topic.
#[then(expr = "the broker receives {string} on {string} within {span}")]
async fn broker_step(s: &mut Scenario, text: String, topic: String, span: Span) -> StepResult {
    let what = format!("{text:?} on {topic:?} at the broker");
    let payload = escapes(&text)?;
    let mut end = format!(" {topic} ").into_bytes();
    end.extend(payload);
    s.expect(noted(what, "mqtt publish ", end), span.0)
        .await
        .map(drop)
}

/// Waits for a subscription at the MQTT broker.
#[then(expr = "the broker sees a subscription to {string} within {span}")]
async fn subscription_step(s: &mut Scenario, topic: String, span: Span) -> StepResult {
    let what = format!("a subscription to {topic:?}");
    let end = format!(" {topic}").into_bytes();
    s.expect(noted(what, "mqtt subscribe ", end), span.0)
        .await
        .map(drop)
}

/// Waits for a request at the HTTP server: method and path, answered with a status.
#[then(expr = "the HTTP server answers {word} {string} with {int} within {span}")]
async fn request_step(
    s: &mut Scenario,
    method: String,
    path: String,
    status: u16,
    span: Span,
) -> StepResult {
    let text = format!("http {method} {path} {status}");
    let what = format!("{method} {path} answered with {status}");
    let wanted = Wanted::new(what, move |event: &Event| {
        event.kind == Kind::State && event.text() == text
    });
    s.expect(wanted, span.0).await.map(drop)
}

/// Waits for an upload to the FTP server: its content and its path.
#[then(expr = "the FTP server receives {string} as {string} within {span}")]
async fn ftp_stored_step(s: &mut Scenario, text: String, path: String, span: Span) -> StepResult {
    let what = format!("{text:?} stored as {path:?} on the FTP server");
    let mut end = format!(" {path} ").into_bytes();
    end.extend(escapes(&text)?);
    s.expect(noted(what, "ftp stored ", end), span.0)
        .await
        .map(drop)
}

/// Something a service noted: how it begins and how it ends.
fn noted(what: String, head: &'static str, end: Vec<u8>) -> Wanted {
    Wanted::new(what, move |event: &Event| {
        event.kind == Kind::State
            && event.bytes.starts_with(head.as_bytes())
            && event.bytes.ends_with(&end)
    })
}
