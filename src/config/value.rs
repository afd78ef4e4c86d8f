//! From text to values. An error says what would be right, and never repeats
//! the text: it may be a secret in the wrong place.

use gateway::Vocabulary;
use gateway::{Mistake, SHIPPED};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::Uri;

/// A checked value, or what would be right.
pub type Parsed<T> = Result<T, String>;

/// `true` or `false`.
pub fn boolean(text: &str) -> Parsed<bool> {
    text.trim().parse().map_err(|_| "must be true or false".to_owned())
}

/// A whole number in a range.
pub fn number<T>(text: &str, range: RangeInclusive<T>) -> Parsed<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.trim().replace('_', "").parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

/// A share of something, 0 to 1.
pub fn share(text: &str) -> Parsed<f64> {
    let share = text.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a share from 0 to 1, such as 0.01".to_owned())
}

/// A time: a number with `ms`, `s`, `m`, `h` or `d`; without, it is seconds.
pub fn time(text: &str, range: RangeInclusive<Duration>) -> Parsed<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let millis = match text[digits..].trim() {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let time = millis
        .and_then(|millis: u64| text[..digits].parse::<u64>().ok()?.checked_mul(millis))
        .map(Duration::from_millis);
    let Some(time) = time else {
        return Err("must be a time such as 500ms, 5s, 15m, 2h or 7d".to_owned());
    };
    if range.contains(&time) {
        return Ok(time);
    }
    Err(format!("must be a time from {:?} to {:?}", range.start(), range.end()))
}

/// A number of bytes, also in `KiB` or `MiB`.
pub fn size(text: &str, range: RangeInclusive<usize>) -> Parsed<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1024),
        "MiB" => Some(1024 * 1024),
        _ => None,
    };
    let size = unit.and_then(|unit: usize| text[..digits].parse::<usize>().ok()?.checked_mul(unit));
    let right = || format!("must be a size from {} to {} bytes, such as 64KiB", range.start(), range.end());
    size.filter(|size| range.contains(size)).ok_or_else(right)
}

/// `host:port` to listen on.
pub fn address(text: &str) -> Parsed<String> {
    let text = text.trim();
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    match text.rsplit_once(':') {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        Some(("", port)) if port.parse::<u16>().is_ok() => {
            Err(format!("must be host:port; 0.0.0.0:{port} is every address of this machine"))
        }
        _ => Err("must be host:port, such as 127.0.0.1:8080".to_owned()),
    }
}

fn is_host(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !host.is_empty() && host.bytes().all(allowed)
}

/// Items separated by commas.
pub fn list<T>(text: &str, parse: impl Fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(parse).collect()
}

/// The same, at least one.
pub fn some<T>(text: &str, parse: impl Fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    list(text, parse).and_then(|list| if list.is_empty() { Err("is empty".to_owned()) } else { Ok(list) })
}

/// A URL of one of these schemes, with a host; nothing more is checked, since
/// each driver has rules of its own for the rest.
pub fn url(text: &str, schemes: &[&str]) -> Parsed<String> {
    let text = text.trim();
    let right = || format!("must be a URL such as {}://host", schemes[0]);
    let (scheme, rest) = text.split_once("://").ok_or_else(right)?;
    if !schemes.contains(&scheme) {
        return Err(format!("must begin with {}", schemes.join(":// or ") + "://"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() || host.starts_with(':') || text.contains(char::is_whitespace) {
        return Err(right());
    }
    Ok(text.to_owned())
}

/// The address of a dispatcher.
pub fn dispatcher_url(text: &str) -> Parsed<String> {
    let right = || "must be http://host:port, such as http://127.0.0.1:7070".to_owned();
    let uri: Uri = text.trim().parse().map_err(|_| right())?;
    let plain = uri.scheme_str() == Some("http")
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.port_u16().is_some_and(|port| port != 0)
        && uri.path_and_query().is_none_or(|rest| rest == "/")
        && !text.contains('@');
    if plain { Ok(text.trim().trim_end_matches('/').to_owned()) } else { Err(right()) }
}

/// An origin exactly as browsers send it.
pub fn origin(text: &str) -> Parsed<String> {
    let right = |origin: &str| format!("must be an origin exactly as browsers send it, such as {origin}");
    if text == "*" {
        return Err("must name each site: any site's page could act as its visitor".to_owned());
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| right("https://app.example"))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bare_host = host.trim_start_matches('[').trim_end_matches(']').replace(':', ".");
    if scheme.is_empty() || !is_host(&bare_host) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(right("https://app.example"));
    }
    let is_default_port = matches!((scheme, port), ("https", Some("443")) | ("http", Some("80")));
    let authority = if is_default_port { host } else { authority };
    let exact = format!("{scheme}://{authority}").to_ascii_lowercase();
    if exact == text { Ok(exact) } else { Err(right(&exact)) }
}

/// Text that is not empty.
pub fn text(text: &str) -> Parsed<String> {
    if text.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A vocabulary that ships with us, by name, or one in a file.
pub fn vocabulary(name: &str) -> Parsed<Vocabulary> {
    if let Some(text) = Vocabulary::shipped(name) {
        return Vocabulary::parse(text).map_err(|mistakes| told(name, &mistakes));
    }
    let shipped = SHIPPED.map(|(name, _)| name).join(", ");
    let text = std::fs::read_to_string(name)
        .map_err(|error| format!("must be {shipped}, or a file: this one cannot be read: {error}"))?;
    Vocabulary::parse(&text).map_err(|mistakes| told(name, &mistakes))
}

fn told(name: &str, mistakes: &[Mistake]) -> String {
    let told: Vec<String> = mistakes.iter().map(|mistake| format!("    {name}:{mistake}")).collect();
    format!("must be a vocabulary:\n{}", told.join("\n"))
}

/// A URL without what stands before its `@`, and without passwords in its query.
pub fn mask_url(text: &str) -> String {
    let mut shown = String::new();
    // Passwords may hold commas, so that a list is not split at these.
    for (index, part) in text.split("://").enumerate() {
        if index > 0 {
            shown.push_str("://");
        }
        match part.rsplit_once('@') {
            Some((user, rest)) => {
                if let Some((user, _)) = user.split_once(':').filter(|_| index > 0) {
                    shown.push_str(user);
                    shown.push(':');
                }
                shown.push_str("***@");
                shown.push_str(rest);
            }
            None => shown.push_str(part),
        }
    }
    match shown.split_once('?') {
        Some((before, query)) => {
            let pairs: Vec<_> = query
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((key, _)) if is_secret(key) => format!("{key}=***"),
                    _ => pair.to_owned(),
                })
                .collect();
            format!("{before}?{}", pairs.join("&"))
        }
        None => shown,
    }
}

/// Whether a parameter of a URL is likely to be a secret.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "key"].iter().any(|hint| key.contains(hint))
}
