//! Plots as SVG: horizontal bars, and lines over equally spaced ticks. Knows nothing of what they show.

use std::fmt::Write as _;

use super::text::grouped;

const WIDTH: f64 = 860.0;
const STRONG: &str = "#1f6feb";
const WEAK: &str = "#8b949e";
const COLOURS: [&str; 3] = [STRONG, "#d1570b", "#2d8659"];

/// One bar, and how far single runs lie from it.
pub struct Bar {
    pub label: String,
    pub value: f64,
    pub least: f64,
    pub most: f64,
    pub stands_out: bool,
}

/// A plot of lines.
pub struct Lines<'a> {
    pub title: &'a str,
    /// What the ticks are.
    pub below: &'a str,
    pub ticks: Vec<String>,
    pub curves: Vec<Curve>,
}

/// One line: a value at each tick.
pub struct Curve {
    pub label: String,
    pub values: Vec<f64>,
}

/// Draws bars one below the other, from zero on.
pub fn bars(title: &str, bars: &[Bar]) -> String {
    const ROW: f64 = 26.0;
    const LEFT: f64 = 360.0;
    const RIGHT: f64 = 90.0;
    const TOP: f64 = 48.0;
    let most = bars.iter().map(|bar| bar.most).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let mut body = String::new();
    for (number, bar) in bars.iter().enumerate() {
        let middle = TOP + ROW * (number as f64 + 0.5);
        let end = LEFT + bar.value * scale;
        text(&mut body, LEFT - 8.0, middle + 4.0, "end", &bar.label);
        let colour = if bar.stands_out { STRONG } else { WEAK };
        let _ = writeln!(
            body,
            r#"<rect x="{LEFT}" y="{:.1}" width="{:.1}" height="{:.1}" fill="{colour}"/>"#,
            middle - ROW * 0.35,
            end - LEFT,
            ROW * 0.7
        );
        line(&mut body, (LEFT + bar.least * scale, middle), (LEFT + bar.most * scale, middle), "#24292f");
        text(&mut body, LEFT + bar.most * scale + 6.0, middle + 4.0, "start", &grouped(bar.value));
    }
    picture(title, TOP + ROW * bars.len() as f64 + 16.0, &body)
}

/// Draws lines, from zero on.
pub fn lines(plot: &Lines<'_>) -> String {
    const HEIGHT: f64 = 400.0;
    const LEFT: f64 = 80.0;
    const RIGHT: f64 = 50.0;
    const TOP: f64 = 76.0;
    const BOTTOM: f64 = 60.0;
    let most = plot.curves.iter().flat_map(|curve| &curve.values).copied().fold(0.0, f64::max);
    let step = grid_step(most);
    let top_value = (most / step).ceil().max(1.0) * step;
    let ground = HEIGHT - BOTTOM;
    let x = |tick: usize| LEFT + (WIDTH - LEFT - RIGHT) * tick as f64 / (plot.ticks.len().max(2) - 1) as f64;
    let y = |value: f64| ground - (ground - TOP) * value / top_value;
    let mut body = String::new();
    let mut value = 0.0;
    while value <= top_value {
        line(&mut body, (LEFT, y(value)), (WIDTH - RIGHT, y(value)), "#d0d7de");
        let label = if step < 1.0 { format!("{value:.1}") } else { grouped(value) };
        text(&mut body, LEFT - 8.0, y(value) + 4.0, "end", &label);
        value += step;
    }
    for (tick, label) in plot.ticks.iter().enumerate() {
        text(&mut body, x(tick), ground + 18.0, "middle", label);
    }
    text(&mut body, WIDTH / 2.0, HEIGHT - 14.0, "middle", plot.below);
    for (number, curve) in plot.curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> =
            curve.values.iter().enumerate().map(|(tick, &value)| format!("{:.1},{:.1}", x(tick), y(value))).collect();
        let points = points.join(" ");
        let _ = writeln!(body, r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>"#);
        let legend = LEFT + 200.0 * number as f64;
        let _ = writeln!(body, r#"<rect x="{legend}" y="44" width="14" height="14" fill="{colour}"/>"#);
        text(&mut body, legend + 20.0, 56.0, "start", &curve.label);
    }
    picture(plot.title, HEIGHT, &body)
}

/// 1, 2 or 5 times a power of ten, so that there are four to ten lines.
fn grid_step(most: f64) -> f64 {
    let rough = (most / 5.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough).unwrap_or(power)
}

fn line(body: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        body,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{what}</text>"#);
}

/// White below, so that it is read on dark pages too.
fn picture(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\" \
         fill=\"#24292f\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{title}</text>\n{body}</svg>\n"
    )
}
