//! SVG from outside: a drawing and nothing else. What could run, load or refer is refused, not cleaned.

use mujian_protocol::placeholder::RefusalCode;
use resvg::usvg::roxmltree::{Document, ParsingOptions};

use super::Refusal;

/// Largest SVG file, in bytes.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most elements of one.
const NODES_MAX: u32 = 50_000;
/// Elements that draw, and what they are made of.
const REFUSED: &[&str] = &[
    "script",
    "foreignObject",
    "iframe",
    "object",
    "embed",
    "audio",
    "video",
    "canvas",
    "image",
    "feImage",
    "animate",
    "animateMotion",
    "animateTransform",
    "set",
    "handler",
    "listener",
];

fn refuse(what: &str) -> Refusal {
    Refusal::new(
        RefusalCode::Unsafe,
        format!(
            "The SVG has {what}. Only a drawing without scripts and without references to other files is shown; save it as plain SVG or as PNG."
        ),
    )
}

/// Whether a value or a style names something outside of the document.
fn refers(value: &str) -> bool {
    let squeezed: String = value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let mut urls = squeezed.match_indices("url(");
    let outside = urls.any(|(at, _)| !squeezed[at + 4..].trim_start_matches(['"', '\'']).starts_with('#'));
    // Backslashes hide such words from a plain look.
    outside || squeezed.contains("javascript:") || squeezed.contains("@import") || squeezed.contains('\\')
}

/// Checks an SVG document.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    // Entities make much out of little, and a document type can name other files.
    if text.contains("<!DOCTYPE") || text.contains("<!ENTITY") || text.contains("<?xml-stylesheet") {
        return Err(refuse("a document type, entities or a style sheet"));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|_| Refusal::damaged())?;
    for node in document.descendants().filter(|n| n.is_element()) {
        let name = node.tag_name().name();
        if REFUSED.iter().any(|r| r.eq_ignore_ascii_case(name)) {
            return Err(refuse(&format!("the element <{name}>")));
        }
        if name.eq_ignore_ascii_case("style") && node.descendants().any(|n| n.text().is_some_and(refers)) {
            return Err(refuse("a reference to another file"));
        }
        for attribute in node.attributes() {
            let (name, value) = (attribute.name().to_ascii_lowercase(), attribute.value().trim());
            if name.starts_with("on") {
                return Err(refuse("a script"));
            }
            if name == "href" && !value.starts_with('#') {
                return Err(refuse("a reference to another file"));
            }
            if refers(value) {
                return Err(refuse("a reference to another file"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(inside: &str) -> String {
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 10 10">{inside}</svg>"#
        )
    }

    #[test]
    fn a_drawing_is_taken() {
        check(&svg(r##"<defs><linearGradient id="g"><stop offset="0"/></linearGradient></defs>
            <rect fill="url(#g)" width="3" height="3"/><use href="#g"/><use xlink:href="#g"/><text>on top</text>
            <style>.a{{fill:#fff}} .b{{fill:url(#g)}}</style>"##))
        .unwrap();
    }

    #[test]
    fn what_could_run_or_load_is_refused() {
        for inside in [
            "<script>alert(1)</script>",
            "<SCRIPT/>",
            r#"<rect onload="x()"/>"#,
            r#"<rect ONCLICK="x()"/>"#,
            "<foreignObject/>",
            r#"<image href="http://example.org/x.png"/>"#,
            r#"<image href="data:image/png;base64,AAAA"/>"#,
            r#"<use href="other.svg#a"/>"#,
            r#"<use xlink:href="file:///etc/passwd"/>"#,
            r#"<rect fill="url(http://example.org/a.svg#g)"/>"#,
            r#"<rect style="fill: url( 'http://example.org/a' )"/>"#,
            r#"<rect style="fill:u\72l(http://x)"/>"#,
            "<style>@import 'http://example.org/a.css';</style>",
            r#"<a href="javascript:alert(1)"><rect/></a>"#,
            r##"<set attributeName="href" to="x"/>"##,
        ] {
            assert_eq!(check(&svg(inside)).unwrap_err().code, RefusalCode::Unsafe, "{inside}");
        }
        for head in [
            r#"<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>"#,
            r#"<!DOCTYPE svg PUBLIC "x" "http://example.org/x.dtd">"#,
            r#"<?xml-stylesheet href="http://example.org/a.css"?>"#,
        ] {
            assert_eq!(check(&format!("{head}{}", svg(""))).unwrap_err().code, RefusalCode::Unsafe, "{head}");
        }
        assert_eq!(check("<svg").unwrap_err().code, RefusalCode::Damaged);
        assert_eq!(check(&svg(&"<g/>".repeat(60_000))).unwrap_err().code, RefusalCode::Damaged);
    }
}
