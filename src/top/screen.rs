//! What the terminal shows: the last view, sorted, as much of it as there is
//! room for. Drawing and keys, without a terminal.

use std::cmp::Ordering;
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Row, Table};

use super::column::{COLUMNS, Column};
use super::figures::Figures;
use super::watch::{Node, View};

/// Between two columns.
const GAP: u16 = 2;
/// `dispatcher`, `standalone`.
const ROLE_WIDTH: u16 = 10;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To end.
    Quit,
    /// To show something else.
    Redraw,
    /// Nothing.
    Nothing,
}

/// What is on the screen.
pub struct Screen {
    interval: Duration,
    view: Option<View>,
    /// By this column, largest first; else as the nodes were named.
    sort: Option<usize>,
    is_paused: bool,
    /// Nodes above the first line.
    scroll: usize,
}

impl Screen {
    /// With nothing on it yet.
    pub fn new(interval: Duration) -> Self {
        Self { interval, view: None, sort: None, is_paused: false, scroll: 0 }
    }

    /// Takes a new view, unless the screen is paused.
    pub fn show(&mut self, view: View) -> bool {
        let takes = !self.is_paused || self.view.is_none();
        if takes {
            self.view = Some(view);
        }
        takes
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Wish {
        let last = self.view.as_ref().map_or(0, |view| view.nodes.len().saturating_sub(1));
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Wish::Quit,
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('s') => {
                self.sort = match self.sort {
                    None => Some(0),
                    Some(column) => Some(column + 1).filter(|next| *next < COLUMNS.len()),
                };
                self.scroll = 0;
            }
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = (self.scroll + 1).min(last),
            _ => return Wish::Nothing,
        }
        Wish::Redraw
    }

    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
                .areas(frame.area());
        frame.render_widget(self.head(), head);
        let Some(view) = &self.view else {
            frame.render_widget(Line::raw("asking the nodes ..."), body);
            return;
        };
        let names = view.nodes.iter().map(|node| node.name.len()).max().unwrap_or(0).clamp(5, 40);
        let name_width = u16::try_from(names).unwrap_or(u16::MAX);
        let columns = fitting(body.width.saturating_sub(name_width + GAP + ROLE_WIDTH));
        let hidden = COLUMNS.len() - columns.len();
        let keys = "q quit   s sort   p pause   up, down";
        let more =
            if hidden > 0 { format!("   {hidden} more columns in a wider window") } else { String::new() };
        frame.render_widget(Line::raw(format!("{keys}{more}")).dim(), foot);

        let lines = usize::from(body.height.saturating_sub(2));
        let first = self.scroll.min(view.nodes.len().saturating_sub(lines));
        let nodes = sorted(&view.nodes, self.sort).into_iter().skip(first);
        let up = format!("{}/{} up", view.up(), view.nodes.len());
        let total = row("total", &up, &view.total, &columns).style(Style::new().bold());
        let rows = std::iter::once(total).chain(nodes.map(|node| match &node.state {
            Ok(seen) => row(&node.name, &seen.role, &seen.figures, &columns),
            Err(_) => {
                Row::new([Cell::from(node.name.as_str()), Cell::from("down")]).style(Style::new().red())
            }
        }));
        let titles = columns.iter().map(|column| right(column.title.to_owned()));
        let titles = [Cell::from("node"), Cell::from("role")].into_iter().chain(titles);
        let widths = [name_width, ROLE_WIDTH].into_iter().chain(columns.iter().map(|column| column.width()));
        let table = Table::new(rows, widths.map(Constraint::Length))
            .header(Row::new(titles).style(Style::new().reversed()))
            .column_spacing(GAP);
        frame.render_widget(table, body);
        // A reason is longer than any column.
        let shown = sorted(&view.nodes, self.sort).into_iter().skip(first).take(lines).enumerate();
        for (line, node) in shown {
            let Err(reason) = &node.state else { continue };
            let line = u16::try_from(line).unwrap_or(u16::MAX).saturating_add(2);
            let mut place = body;
            place.x = place.x.saturating_add(name_width + GAP + ROLE_WIDTH + GAP).min(body.right());
            place.width = body.right() - place.x;
            place.y = place.y.saturating_add(line);
            place.height = 1;
            frame.render_widget(Line::raw(reason.as_str()).red(), place.intersection(body));
        }
    }

    fn head(&self) -> Line<'static> {
        let sorted = self.sort.map(|column| format!("   sorted by {}", COLUMNS[column].title));
        let paused = if self.is_paused { "   PAUSED" } else { "" };
        let text = format!("carillon top   every {:?}{}{paused}", self.interval, sorted.unwrap_or_default());
        Line::raw(text).bold()
    }
}

/// The columns that there is room for, the most telling first, in their order.
fn fitting(width: u16) -> Vec<&'static Column> {
    let mut by_rank: Vec<_> = COLUMNS.iter().enumerate().collect();
    by_rank.sort_by_key(|(_, column)| column.rank);
    let mut left = width;
    let mut fitting = Vec::new();
    for (place, column) in by_rank {
        let Some(rest) = left.checked_sub(GAP + column.width()) else { break };
        left = rest;
        fitting.push((place, column));
    }
    fitting.sort_by_key(|(place, _)| *place);
    fitting.into_iter().map(|(_, column)| column).collect()
}

/// By the figure of a column, largest first; nodes without it, and those that
/// are down, at the end.
fn sorted(nodes: &[Node], column: Option<usize>) -> Vec<&Node> {
    let mut nodes: Vec<_> = nodes.iter().collect();
    if let Some(column) = column.and_then(|column| COLUMNS.get(column)) {
        let figure = |node: &Node| (column.value)(&node.state.as_ref().ok()?.figures);
        nodes.sort_by(|one, other| match (figure(one), figure(other)) {
            (Some(one), Some(other)) => other.total_cmp(&one),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => one.state.is_err().cmp(&other.state.is_err()),
        });
    }
    nodes
}

fn row<'a>(name: &str, role: &str, figures: &Figures, columns: &[&Column]) -> Row<'a> {
    let cells = columns.iter().map(|column| {
        let cell = right(column.cell(figures));
        if column.alarms(figures) { cell.style(Style::new().red().bold()) } else { cell }
    });
    Row::new([Cell::from(name.to_owned()), Cell::from(role.to_owned())].into_iter().chain(cells))
}

fn right<'a>(text: String) -> Cell<'a> {
    Cell::from(Text::from(text).alignment(Alignment::Right))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::watch::Seen;
    use super::*;

    fn node(name: &str, connections: f64) -> Node {
        let figures = Figures { connections: Some(connections), ..Figures::default() };
        let seen = Seen { role: "gateway".to_owned(), version: "1".to_owned(), figures };
        Node { name: name.to_owned(), state: Ok(seen) }
    }

    fn screen() -> Screen {
        let down = Node { name: "c:9090".to_owned(), state: Err("Connection refused".to_owned()) };
        let nodes = vec![node("a:9090", 1.0), down, node("b:9090", 2.0)];
        let total = Figures { connections: Some(3.0), ..Figures::default() };
        let mut screen = Screen::new(Duration::from_secs(1));
        screen.show(View { nodes, total });
        screen
    }

    fn drawn(screen: &Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    fn press(screen: &mut Screen, key: char) -> Wish {
        screen.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE))
    }

    fn names(screen: &Screen) -> Vec<String> {
        let lines = drawn(screen, 80, 8);
        lines[3..6].iter().map(|line| line[..1].to_owned()).collect()
    }

    #[test]
    fn every_node_has_a_line() {
        let lines = drawn(&screen(), 80, 8);
        assert!(lines[0].starts_with("carillon top   every 1s"), "{lines:#?}");
        assert!(lines[1].contains("conns") && lines[2].starts_with("total   2/3 up"), "{lines:#?}");
        assert!(lines[3].starts_with("a:9090  gateway          1"), "{lines:#?}");
        assert!(lines[4].starts_with("c:9090  down        Connection refused"), "{lines:#?}");
        assert!(lines[7].contains("q quit") && lines[7].contains("more columns"), "{lines:#?}");
    }

    #[test]
    fn keys_sort_pause_and_quit() {
        let mut screen = screen();
        assert_eq!(names(&screen), ["a", "c", "b"], "as they were named");
        assert_eq!(press(&mut screen, 's'), Wish::Redraw);
        assert_eq!(names(&screen), ["b", "a", "c"], "by connections");
        for _ in &COLUMNS {
            press(&mut screen, 's');
        }
        assert_eq!(names(&screen), ["a", "c", "b"], "after the last column comes the first order");

        press(&mut screen, 'p');
        assert!(!screen.show(View::default()) && drawn(&screen, 80, 8)[0].ends_with("PAUSED"));
        assert_eq!(names(&screen), ["a", "c", "b"]);
        press(&mut screen, 'p');
        assert!(screen.show(View::default()));
        assert_eq!((press(&mut screen, 'x'), press(&mut screen, 'q')), (Wish::Nothing, Wish::Quit));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(screen.key(interrupt), Wish::Quit);
    }

    #[test]
    fn a_window_of_any_size_is_drawn() {
        let mut screen = screen();
        for (width, height) in [(1, 1), (10, 3), (40, 4), (200, 50)] {
            drawn(&screen, width, height);
        }
        assert!(drawn(&screen, 200, 8)[1].ends_with("redis"), "all columns fit");
        screen.key(KeyEvent::new(KeyCode::Down, KeyModifiers::NONE));
        let lines = drawn(&screen, 80, 6);
        assert!(lines[3].starts_with("c:9090") && lines[3].contains("refused"), "{lines:#?}");
        assert!(drawn(&Screen::new(Duration::from_secs(1)), 40, 4)[1].contains("asking"));
    }
}
