//! The interface: built by `ui`, embedded in a release, read from the disk in a debug build.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mujian_protocol::ErrorCode;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::{Failure, previews};
use crate::app::App;

#[derive(RustEmbed)]
#[folder = "../ui/dist"]
struct Interface;

/// Said where the interface should be, when the program was built without it.
const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Mujian</title><p>The server runs, but it was built \
without its pages. Run <code>make build</code> and start it again. 服务器已运行，但构建时没有包含网页；请运行 <code>make build</code> 后重新启动。\n";

/// A file of the interface; any other address is the interface's own to understand.
pub(super) async fn page(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let path = parts.uri.path().trim_start_matches('/');
    if path == "api" || path.starts_with("api/") {
        return Failure::new(ErrorCode::NotFound, "There is no such call; calls are under /api/v1.").into_response();
    }
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], "This address is only for reading.\n")
            .into_response();
    }
    // What is named like a file and is not there must not be answered with a page.
    let file_like = path.rsplit('/').next().is_some_and(|last| last.contains('.'));
    let found = if path.is_empty() { None } else { Interface::get(path) };
    match found {
        Some(file) => served(path, &file.metadata.sha256_hash(), file.data.into_owned(), &parts.headers),
        None if file_like => (StatusCode::NOT_FOUND, "There is no such file.\n").into_response(),
        None => {
            // The overlay is a page of its own, with nothing but what it shows.
            let name = if path.starts_with("overlay/") { "overlay.html" } else { "index.html" };
            let page = Interface::get(name).map_or(NOT_BUILT.as_bytes().into(), |file| file.data);
            let preview = previews::of(&app, &parts).await.and_then(|preview| preview.put_into(&page));
            let vary = preview.is_some();
            let page = preview.map_or_else(|| page.into_owned(), String::into_bytes);
            let mut response = served(name, &Sha256::digest(&page).into(), page, &parts.headers);
            if vary {
                response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Language"));
            }
            let policy = policy(&parts.headers);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
    }
}

fn served(path: &str, hash: &[u8; 32], data: Vec<u8>, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex(&hash[..16]));
    // Names of built files have a hash in them; the others may change with the next version.
    let caching = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = asked.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains(&tag));
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        (header::ETAG, HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""))),
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(path))),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, Body::from(data)).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// What a page may do. Media is fed to the player as blobs. `'self'` covers WebSockets only in newer
/// browsers, so the host is named too, if it is one.
fn policy(headers: &HeaderMap) -> HeaderValue {
    const RULES: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
        font-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; \
        form-action 'none'; frame-ancestors 'none'; connect-src 'self'";
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).filter(|h| {
        h.len() < 256 && h.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
    });
    let policy = match host {
        Some(host) => format!("{RULES} ws://{host} wss://{host}"),
        None => RULES.to_owned(),
    };
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Headers that every answer has.
pub(super) async fn secured(request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Addresses of rooms do not leave with links; tokens are never in them.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=(), payment=(), fullscreen=(self), autoplay=(self), picture-in-picture=(self)",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    if api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_strict_and_names_the_host_only_if_it_is_one() {
        let with = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            policy(&headers).to_str().unwrap().to_owned()
        };
        let good = with("[::1]:8080");
        assert!(good.ends_with("connect-src 'self' ws://[::1]:8080 wss://[::1]:8080"), "{good}");
        assert!(!good.contains("unsafe"));
        for bad in ["a; script-src *", "a b", "a'"] {
            assert!(with(bad).ends_with("connect-src 'self'"), "{bad}");
        }
    }
}
