//! Links by which others reach the hosted server, and their QR code.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use mujian_protocol::RoomId;
use mujian_protocol::studio::Share;
use qrcode::QrCode;
use qrcode::render::svg;

use super::control::Shared;

/// The ports that are shared if they are free: links and OBS's settings then stay good from day to day.
pub const HTTP_PORT: u16 = 8080;

/// The addresses of this computer that others may reach, best first.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    // Which address would be used towards the outside is a question to the routing table:
    // connecting a UDP socket sends nothing. The targets are documentation addresses (RFC 5737, RFC 3849).
    let towards = |bind: &str, target: &str| {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(target).ok()?;
        socket.local_addr().ok().map(|a| a.ip())
    };
    let mut found: Vec<IpAddr> = Vec::new();
    let candidates = [
        ("0.0.0.0:0", "192.0.2.1:9"),
        ("0.0.0.0:0", "10.255.255.255:9"),
        ("0.0.0.0:0", "192.168.255.255:9"),
        ("0.0.0.0:0", "172.31.255.255:9"),
    ];
    for (bind, target) in candidates {
        if let Some(ip) = towards(bind, target)
            && !ip.is_loopback()
            && !ip.is_unspecified()
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

/// What is shared when the server listens at these addresses beyond this computer.
#[must_use]
pub fn share(room: Option<&RoomId>, at: Shared, hosts: &[IpAddr]) -> Share {
    let path = room.map(|r| format!("watch/{r}")).unwrap_or_default();
    let link = |ip: &IpAddr| format!("http://{}/{path}", SocketAddr::new(*ip, at.http.port()));
    let links: Vec<String> = hosts.iter().map(link).collect();
    let rtmp = hosts.iter().map(|ip| format!("rtmp://{}/live", SocketAddr::new(*ip, at.rtmp.port()))).collect();
    let qr_svg = links.first().map(|l| qr(l)).unwrap_or_default();
    Share { shared: true, links, rtmp, qr_svg }
}

/// A QR code as an SVG document; empty if the text is too long for one.
#[must_use]
pub fn qr(text: &str) -> String {
    QrCode::new(text).map_or_else(
        |_| String::new(),
        |code| {
            code.render::<svg::Color<'_>>()
                .min_dimensions(240, 240)
                .dark_color(svg::Color("#0d0c0b"))
                .light_color(svg::Color("#f3eadb"))
                .build()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_the_room() {
        let room: RoomId = "demo".parse().unwrap();
        let hosts = ["192.168.1.7".parse().unwrap(), "fd00::1".parse().unwrap()];
        let at = Shared { http: ([0, 0, 0, 0], 8081).into(), rtmp: ([0, 0, 0, 0], 1935).into() };
        let shared = share(Some(&room), at, &hosts);
        assert_eq!(shared.links, ["http://192.168.1.7:8081/watch/demo", "http://[fd00::1]:8081/watch/demo"]);
        assert_eq!(shared.rtmp, ["rtmp://192.168.1.7:1935/live", "rtmp://[fd00::1]:1935/live"]);
        assert!(shared.qr_svg.contains("<svg"));
        let nowhere = share(None, at, &[]);
        assert!(nowhere.links.is_empty() && nowhere.qr_svg.is_empty());
    }
}
