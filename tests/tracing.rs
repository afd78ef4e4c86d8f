//! A traced command's way is one trace, wherever it went; and nothing of the
//! kind where nobody asked for it, or where the collector is away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use testkit::cluster::{ClusterOptions, SECRET, System, binary};
use testkit::eventually;
use testkit::ports::free_port;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_carillon");
const PATIENCE: Duration = Duration::from_secs(30);
const TEXT: &str = "nobody but the members reads this";

/// A span as it was collected, with the name of the service that told it.
#[derive(Debug, Clone)]
struct Collected {
    service: String,
    span: Span,
}

impl Collected {
    fn text(&self, attribute: &str) -> Option<&str> {
        text(&self.span.attributes, &format!("carillon.{attribute}"))
    }

    fn number(&self, attribute: &str) -> Option<i64> {
        let name = format!("carillon.{attribute}");
        let found = self.span.attributes.iter().find(|of| of.key == name)?;
        match found.value.as_ref()?.value.as_ref()? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|of| of.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// A collector that keeps what it is told.
struct Collector {
    endpoint: String,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        let bodies = Arc::<Mutex<Vec<Bytes>>>::default();
        let router = Router::new().route("/v1/traces", post(collect)).with_state(bodies.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, bodies, _serving: AbortOnDropHandle::new(serving) }
    }

    fn spans(&self) -> Vec<Collected> {
        let mut spans = Vec::new();
        for body in self.bodies.lock().unwrap().iter() {
            for of in ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans {
                let resource = of.resource.unwrap_or_default().attributes;
                let service = text(&resource, "service.name").unwrap_or_default().to_owned();
                let told = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(told.map(|span| Collected { service: service.clone(), span }));
            }
        }
        spans
    }

    /// The spans of the trace in which this message was sent.
    fn trace_of(&self, message: &str) -> Vec<Collected> {
        let spans = self.spans();
        let command =
            spans.iter().find(|of| of.span.name == "command" && of.text("message") == Some(message));
        let Some(id) = command.map(|command| command.span.trace_id.clone()) else { return Vec::new() };
        spans.into_iter().filter(|of| of.span.trace_id == id).collect()
    }

    fn holds(&self, word: &str) -> bool {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().any(|body| body.windows(word.len()).any(|window| window == word.as_bytes()))
    }
}

async fn collect(State(bodies): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes) -> StatusCode {
    bodies.lock().unwrap().push(body);
    StatusCode::OK
}

fn settings(endpoint: &str, sample: &str) -> Vec<(String, String)> {
    let settings = [("CARILLON_OTLP_ENDPOINT", endpoint), ("CARILLON_TRACE_SAMPLE", sample)];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

async fn standalone(endpoint: &str, sample: &str) -> System {
    let settings = settings(endpoint, sample);
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    binary(PROGRAM).standalone(&settings).await.unwrap()
}

/// Ana writes to Ben, who hears it; the room and the message.
async fn a_word(system: &System) -> (String, String) {
    let room = system.rest(0, "ana").create_group("Ringers", &["ben"]).await.unwrap();
    let (ana, ben) = (system.client(0, "ana").await.unwrap(), system.client(1, "ben").await.unwrap());
    ana.join(&room).await.unwrap();
    ben.join(&room).await.unwrap();
    let sent = ana.send(&room, TEXT).await.unwrap();
    let heard =
        ben.expect_event("the message", |event| (event.room == room && event.seq == sent.seq).then_some(()));
    heard.await.unwrap();
    ana.close().await;
    ben.close().await;
    (room, sent.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_one_trace_from_frame_to_fan_out() {
    let collector = Collector::start().await;
    let options = ClusterOptions {
        gateways: 2,
        dispatchers: 1,
        settings: settings(&collector.endpoint, "1"),
        ..ClusterOptions::default()
    };
    let system = binary(PROGRAM).cluster(options).await.unwrap();
    let (room, message) = a_word(&system).await;

    let spans = eventually("six spans", PATIENCE, async || {
        let spans = collector.trace_of(&message);
        (spans.len() == 6).then_some(spans)
    })
    .await;
    let mut by_name: BTreeMap<&str, Vec<&Collected>> = BTreeMap::new();
    for of in &spans {
        by_name.entry(&of.span.name).or_default().push(of);
    }
    let counts: Vec<_> = by_name.iter().map(|(name, list)| (*name, list.len())).collect();
    assert_eq!(counts, [("command", 1), ("commit", 1), ("fan_out", 2), ("publish", 1), ("queue", 1)]);

    let command = by_name["command"][0];
    assert_eq!((command.service.as_str(), command.span.parent_span_id.len()), ("carillon-gateway", 0));
    assert_eq!(command.text("room"), Some(room.as_str()));
    for name in ["queue", "commit", "publish"] {
        let of = by_name[name][0];
        assert_eq!(
            (&of.span.parent_span_id, of.service.as_str()),
            (&command.span.span_id, "carillon-dispatcher")
        );
    }
    assert_eq!(by_name["queue"][0].text("command"), Some("send"));
    assert_eq!(by_name["commit"][0].text("message"), Some(message.as_str()));
    assert!(by_name["commit"][0].number("batch").is_some_and(|batch| batch >= 1));
    // Each gateway has one of the two listeners.
    for of in &by_name["fan_out"] {
        assert_eq!(of.span.parent_span_id, by_name["publish"][0].span.span_id);
        assert_eq!((of.text("room"), of.text("message")), (Some(room.as_str()), Some(message.as_str())));
        assert_eq!((of.service.as_str(), of.number("listeners")), ("carillon-gateway", Some(1)));
    }
    let ids: BTreeSet<_> = spans.iter().map(|of| &of.span.span_id).collect();
    assert_eq!(ids.len(), 6);
    assert!(spans.iter().all(|of| of.span.end_time_unix_nano >= of.span.start_time_unix_nano));
    assert!(spans.iter().all(|of| of.span.status.is_none()), "{spans:?}");

    for secret in [TEXT, SECRET, system.token("ana").as_str()] {
        assert!(!collector.holds(secret), "a trace holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_at_the_end_of_the_process() {
    let collector = Collector::start().await;
    let system = standalone(&collector.endpoint, "1").await;
    let (_, message) = a_word(&system).await;
    assert!(system.gateway(0).stop().await.unwrap().success());
    let names: Vec<_> = collector.trace_of(&message).into_iter().map(|of| of.span.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 5, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_share_nothing_is_traced() {
    let collector = Collector::start().await;
    let system = standalone(&collector.endpoint, "0").await;
    a_word(&system).await;
    assert!(system.gateway(0).stop().await.unwrap().success());
    assert_eq!(collector.bodies.lock().unwrap().len(), 0);
}

/// P7: a collector that is away is no concern of those who chat.
#[tokio::test(flavor = "multi_thread")]
async fn p7_chat_goes_on_without_the_collector() {
    let endpoint = format!("http://127.0.0.1:{}", free_port().unwrap());
    let system = standalone(&endpoint, "1").await;
    a_word(&system).await;
    let refused = "carillon_trace_spans_total{outcome=\"refused\"}";
    eventually("spans that nobody takes", PATIENCE, async || {
        let count = system.gateway(0).metric(refused).await.ok()?;
        (count > 0.0).then_some(())
    })
    .await;
    a_word(&system).await;
    assert!(system.gateway(0).stop().await.unwrap().success());
}
