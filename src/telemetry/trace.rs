//! Spans on their way to a collector: OTLP over HTTP, protobuf. What waits is
//! bounded; what finds no room, or what the collector does not take, is counted
//! and forgotten. Nobody else ever waits for it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::http::header;
use bus::trace::{Attribute, Span, Spans, Step};
use metrics::counter;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, SpanFlags, Status};
use prost::Message;
use reqwest::{Client, Url, redirect};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Role;

/// Spans that wait for their export.
const MAX_WAITING: usize = 8192;
/// Spans in one request.
const MAX_BATCH: usize = 512;
/// Between two requests that are not full.
const GATHER: Duration = Duration::from_millis(500);
/// The collector takes a request within this time, or does not take it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// At the end of the process the rest is sent in this time.
const LAST: Duration = Duration::from_secs(2);
/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";

/// Takes spans, and sends them to a collector.
pub struct Exporter {
    waiting: Arc<Waiting>,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

/// The queue's entrance.
struct Waiting(mpsc::Sender<Span>);

impl Spans for Waiting {
    fn record(&self, span: Span) {
        if self.0.try_send(span).is_err() {
            count("dropped", 1);
        }
    }
}

impl Exporter {
    /// Sends to the collector at `endpoint`, until [`close`](Self::close).
    pub fn start(endpoint: &str, role: Role) -> anyhow::Result<Self> {
        let to = Collector {
            client: Client::builder().redirect(redirect::Policy::none()).timeout(TIMEOUT).build()?,
            url: address(endpoint).context("otlp_endpoint")?,
            resource: resource(role),
            away: false,
        };
        let (waiting, queue) = mpsc::channel(MAX_WAITING);
        let stop = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(export(to, queue, stop.clone())));
        Ok(Self { waiting: Arc::new(Waiting(waiting)), stop, task })
    }

    /// Where spans are put in.
    pub fn spans(&self) -> Arc<dyn Spans> {
        self.waiting.clone()
    }

    /// Sends what waits, as far as that is possible in a short time.
    pub async fn close(self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST, self.task).await.is_err() {
            tracing::warn!("the collector of traces is too slow: the last spans are lost");
        }
    }
}

/// What becomes of a span.
const OUTCOMES: [&str; 3] = ["dropped", "exported", "refused"];

/// Begins the counters at zero.
pub(super) fn start() {
    OUTCOMES.iter().for_each(|outcome| count(outcome, 0));
}

fn count(outcome: &'static str, spans: usize) {
    counter!("carillon_trace_spans_total", "outcome" => outcome).increment(spans as u64);
}

/// Everything that waits makes a request; while one is under way, the next fills.
async fn export(mut to: Collector, mut queue: mpsc::Receiver<Span>, stop: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let taken = tokio::select! {
            biased;
            () = stop.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
            taken = queue.recv_many(&mut batch, MAX_BATCH) => taken,
        };
        if taken == 0 {
            return;
        }
        to.send(batch.drain(..)).await;
        if queue.len() < MAX_BATCH {
            stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
        }
    }
}

struct Collector {
    client: Client,
    url: Url,
    /// Who tells.
    resource: Resource,
    /// The last request was not taken: logged once, not for each.
    away: bool,
}

impl Collector {
    async fn send(&mut self, spans: impl ExactSizeIterator<Item = Span>) {
        let count_of = spans.len();
        let body = request(&self.resource, spans).encode_to_vec();
        let request = self.client.post(self.url.clone());
        let request = request.header(header::CONTENT_TYPE, "application/x-protobuf").body(body);
        match request.send().await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {
                count("exported", count_of);
                if std::mem::take(&mut self.away) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                count("refused", count_of);
                if !std::mem::replace(&mut self.away, true) {
                    // The URL may hold a password.
                    let error = anyhow::Error::from(error.without_url());
                    tracing::warn!("the collector does not take traces: {error:#}");
                }
            }
        }
    }
}

/// Of an endpoint, as collectors' addresses are usually given: without the path.
fn address(endpoint: &str) -> anyhow::Result<Url> {
    let endpoint = endpoint.trim_end_matches('/');
    let full = endpoint.ends_with(PATH);
    Ok(if full { endpoint.parse() } else { format!("{endpoint}{PATH}").parse() }?)
}

fn resource(role: Role) -> Resource {
    let instance = uuid::Uuid::new_v4().to_string();
    let attributes = [
        ("service.name", format!("carillon-{}", role.name())),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance),
    ];
    let attributes = attributes.map(|(key, text)| key_value(key, Value::StringValue(text)));
    Resource { attributes: attributes.into(), ..Resource::default() }
}

fn request(resource: &Resource, spans: impl Iterator<Item = Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: "carillon".to_owned(), ..InstrumentationScope::default() };
    let spans = ScopeSpans { scope: Some(scope), spans: spans.map(otlp).collect(), ..ScopeSpans::default() };
    let spans = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

fn otlp(span: Span) -> OtlpSpan {
    let kind = match span.step {
        Step::Command => SpanKind::Server,
        Step::Queue | Step::Commit => SpanKind::Internal,
        Step::Publish => SpanKind::Producer,
        Step::FanOut => SpanKind::Consumer,
    };
    // Every step under another one may be another process's.
    let flags = match span.parent {
        Some(_) => SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32,
        None => SpanFlags::ContextHasIsRemoteMask as u32,
    };
    let code = |code: StatusCode, message| Status { code: code.into(), message };
    OtlpSpan {
        trace_id: span.trace.into(),
        span_id: span.id.into(),
        parent_span_id: span.parent.map(Into::into).unwrap_or_default(),
        // The lowest bit: sampled.
        flags: flags | 1,
        name: span.step.name().to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.start + span.took),
        attributes: span.attributes.into_iter().map(|(name, value)| attribute(name, value)).collect(),
        status: span.error.map(|error| code(StatusCode::Error, error)),
        ..OtlpSpan::default()
    }
}

/// Ours are told from others' by their first word.
fn attribute(name: &str, value: Attribute) -> KeyValue {
    let value = match value {
        Attribute::Text(text) => Value::StringValue(text),
        Attribute::Number(number) => Value::IntValue(number.try_into().unwrap_or(i64::MAX)),
    };
    key_value(&format!("carillon.{name}"), value)
}

fn key_value(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos().try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_where_it_is_not_said() {
        for (endpoint, url) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://traces.example/otlp", "https://traces.example/otlp/v1/traces"),
            ("https://traces.example/otlp/v1/traces", "https://traces.example/otlp/v1/traces"),
        ] {
            assert_eq!(address(endpoint).unwrap().as_str(), url);
        }
        assert!(address("http://[").is_err());
    }

    #[test]
    fn a_span_is_told_as_otlp_has_it() {
        let took = Duration::from_millis(7);
        let span = Span {
            step: Step::Commit,
            trace: [1; 16],
            id: [2; 8],
            parent: Some([3; 8]),
            start: UNIX_EPOCH + Duration::from_secs(5),
            took,
            error: Some("unavailable".to_owned()),
            attributes: Vec::new(),
        };
        let told = otlp(span.with("batch", 4_u64).with("room", "r"));
        assert_eq!((told.trace_id, told.span_id, told.parent_span_id), (vec![1; 16], vec![2; 8], vec![3; 8]));
        assert_eq!((told.name.as_str(), told.kind), ("commit", SpanKind::Internal as i32));
        assert_eq!(told.end_time_unix_nano - told.start_time_unix_nano, 7_000_000);
        assert_eq!(told.status.unwrap().message, "unavailable");
        let expected =
            [attribute("batch", Attribute::Number(4)), attribute("room", Attribute::Text("r".to_owned()))];
        assert_eq!(told.attributes, expected);
    }

    /// P6: what finds no room is dropped, and nobody waits.
    #[tokio::test]
    async fn p6_spans_that_find_no_room_are_dropped() {
        let (sender, mut queue) = mpsc::channel(1);
        let waiting = Waiting(sender);
        let context = bus::trace::TraceContext { trace: [1; 16], span: [2; 8] };
        for _ in 0..3 {
            waiting.record(Span::ended(Step::Queue, [3; 8], context, Duration::ZERO));
        }
        assert!(queue.try_recv().is_ok() && queue.try_recv().is_err());
    }
}
