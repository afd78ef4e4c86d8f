//! What goes back for an event: the vocabulary's answer, the acknowledgement,
//! or the error in both forms.

use std::sync::Arc;

use bytes::Bytes;
use proto::v1;

use crate::metrics;
use crate::outbound::Outbound;
use crate::socketio::packet;
use crate::vocabulary::perform::Wants;
use crate::vocabulary::template::Field;
use crate::vocabulary::{Answer, ClientEvent, Scope, Template, Vocabulary};

/// The way back to one event's sender.
#[derive(Clone)]
pub struct Reply {
    /// Where to.
    pub outbound: Arc<Outbound>,
    /// In whose words.
    pub vocabulary: Arc<Vocabulary>,
    /// Which event it was.
    pub event: Arc<str>,
    /// The acknowledgement that is waited for.
    pub ack: Option<u64>,
}

impl Reply {
    /// It was done.
    pub fn done(&self, answer: &Answer) {
        let bytes = self.written(answer);
        if !bytes.is_empty() {
            self.outbound.push(bytes);
        }
    }

    /// The frames that say that it was done; empty if there are none.
    pub fn written(&self, answer: &Answer) -> Bytes {
        let mut out = Vec::new();
        if let Some(spoken) = self.spoken() {
            let scope = answer.scope();
            if let Some(emit) = &spoken.answer {
                packet::event(&mut out, &emit.event, |out| emit.payload.write(out, &scope));
            }
            if let Some(id) = self.ack {
                let template = spoken.ack.as_ref().or(spoken.answer.as_ref().map(|emit| &emit.payload));
                packet::ack(&mut out, id, |out| {
                    let start = out.len();
                    if let Some(template) = template {
                        template.write(out, &scope);
                    }
                    say_ok(out, start);
                });
            }
        }
        out.into()
    }

    /// It was refused.
    pub fn refused(&self, error: &v1::Error) {
        let mut out = Vec::new();
        error_event(&mut out, &self.vocabulary, error);
        if let Some(id) = self.ack {
            packet::ack(&mut out, id, |out| {
                out.extend_from_slice(br#"{"ok":false,"error":"#);
                let shown = serde_json::json!({
                    "code": error.code, "message": error.message, "retryable": error.retryable,
                });
                out.extend_from_slice(shown.to_string().as_bytes());
                out.push(b'}');
            });
        }
        self.outbound.push(out.into());
    }

    /// What its templates need beyond what an answer holds by itself.
    pub fn wants(&self) -> Wants {
        self.templates().map(Template::wants).fold(Wants::default(), Wants::and)
    }

    /// Whether it says how many are online.
    pub fn wants_online(&self) -> bool {
        self.templates().any(|template| template.says(Field::Online))
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let spoken = self.spoken();
        let answer = spoken.and_then(|spoken| spoken.answer.as_ref()).map(|emit| &emit.payload);
        answer.into_iter().chain(spoken.and_then(|spoken| spoken.ack.as_ref()))
    }

    fn spoken(&self) -> Option<&ClientEvent> {
        self.vocabulary.client.get(&*self.event)
    }
}

/// Puts `ok: true` into the object that was written from `start` on. Whatever
/// is no object becomes `result`.
fn say_ok(out: &mut Vec<u8>, start: usize) {
    match &out[start..] {
        [] | b"{}" | b"null" => {
            out.truncate(start);
            out.extend_from_slice(br#"{"ok":true}"#);
        }
        [b'{', ..] => drop(out.splice(start..=start, *br#"{"ok":true,"#)),
        _ => {
            drop(out.splice(start..start, *br#"{"ok":true,"result":"#));
            out.push(b'}');
        }
    }
}

/// Emits `error`.
pub fn emit_error(outbound: &Outbound, vocabulary: &Vocabulary, error: &v1::Error) {
    let mut out = Vec::new();
    error_event(&mut out, vocabulary, error);
    outbound.push(out.into());
}

fn error_event(out: &mut Vec<u8>, vocabulary: &Vocabulary, error: &v1::Error) {
    metrics::error(&error.code);
    let scope = Scope { error: Some(error), ..Scope::default() };
    packet::event(out, "error", |out| vocabulary.error.write(out, &scope));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_says_ok_whatever_it_holds() {
        for (written, said) in [
            ("", r#"{"ok":true}"#),
            ("{}", r#"{"ok":true}"#),
            ("null", r#"{"ok":true}"#),
            (r#"{"a":1}"#, r#"{"ok":true,"a":1}"#),
            ("[1]", r#"{"ok":true,"result":[1]}"#),
        ] {
            let mut out = [b"43[", written.as_bytes()].concat();
            say_ok(&mut out, 3);
            assert_eq!(String::from_utf8(out).unwrap(), format!("43[{said}"));
        }
    }
}
