//! Lines in a coordinate system, as SVG.

use std::fmt::Write as _;

use super::escaped;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 30.0;
/// The most points that a line is drawn with: a longer one is thinned, each step by its highest point.
const POINTS_MAX: usize = 1000;
/// Colours that people who see fewer of them can tell apart.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// One line and its name.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// What the horizontal axis is.
pub(super) struct Axis<'a> {
    pub(super) unit: &'static str,
    pub(super) label: &'a dyn Fn(f64) -> String,
}

/// Draws `lines`; the vertical axis begins at 0.
pub(super) fn plot(lines: &[Line], x: &Axis<'_>, y_unit: &str) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    if all().next().is_none() {
        return "<p>nothing was measured</p>".to_owned();
    }
    let x_max = all().map(|(x, _)| *x).fold(0.0, f64::max).max(1e-9);
    let y_max = round_up(all().map(|(_, y)| *y).fold(0.0, f64::max).max(1e-9));
    let at_x = |x: f64| LEFT + x / x_max * (WIDTH - LEFT - RIGHT);
    let at_y = |y: f64| HEIGHT - BOTTOM - y / y_max * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} against {}\">",
        escaped(y_unit),
        x.unit
    );
    for step in 0..=4 {
        let y = y_max * f64::from(step) / 4.0;
        let (left, right, at) = (LEFT, WIDTH - RIGHT, at_y(y));
        let _ =
            write!(svg, "<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
        let (x_text, y_text) = (LEFT - 8.0, at + 4.0);
        let _ =
            write!(svg, "<text x=\"{x_text}\" y=\"{y_text:.1}\" text-anchor=\"end\">{}</text>", number(y));
    }
    let step = round_up(x_max / 10.0).max(if x_max >= 1.0 { 1.0 } else { 0.0 });
    let mut value = 0.0;
    while value <= x_max + 1e-9 {
        let (at, below) = (at_x(value), HEIGHT - BOTTOM + 18.0);
        let _ = write!(
            svg,
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{}</text>",
            (x.label)(value)
        );
        value += step;
    }
    let mut legend = LEFT;
    let _ = write!(svg, "<text x=\"4\" y=\"14\">{}</text>", escaped(y_unit));
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<String> =
            thinned(&line.points).iter().map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
        let (points, name) = (points.join(" "), escaped(&line.name));
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{points}\"/>"
        );
        let _ = write!(svg, "<text x=\"{legend:.0}\" y=\"14\" style=\"fill:{colour}\">{name}</text>");
        legend += 24.0 + 7.0 * line.name.chars().count() as f64;
    }
    svg.push_str("</svg>\n");
    svg
}

/// At most [`POINTS_MAX`] points; of those that fall together the highest is kept.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let together = points.len().div_ceil(POINTS_MAX).max(1);
    let highest = |part: &[(f64, f64)]| part.iter().copied().max_by(|(_, a), (_, b)| a.total_cmp(b));
    points.chunks(together).filter_map(highest).collect()
}

/// The next number of 1, 2, 5, 10, 20, …
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(1e-12).log10().floor());
    let found =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|&step| step >= value * 0.999_999);
    found.unwrap_or(10.0 * power)
}

fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 || value == 0.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!(
            [0.3, 1.0, 1.1, 4.9, 5.0, 77.0, 101.0].map(round_up),
            [0.5, 1.0, 2.0, 5.0, 5.0, 100.0, 200.0]
        );
    }

    #[test]
    fn a_thinned_line_keeps_its_peaks() {
        let points: Vec<(f64, f64)> =
            (0..100_000).map(|n| (f64::from(n), if n == 54_321 { 9.0 } else { 1.0 })).collect();
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX && thin.contains(&(54_321.0, 9.0)));
    }
}
