//! Mirrors the app's AccessKit tree as elements of the page, for screen readers, to which a canvas is blank. The
//! elements are invisible, have the app's texts, and forward actions to the app.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use eframe::egui::accesskit::{
    Action, ActionData, ActionRequest, Node, NodeId, Role, Toggled, TreeId, TreeUpdate,
};
use eframe::egui::{Context, Event, FullOutput, Plugin, RawInput};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element, HtmlInputElement, HtmlTextAreaElement};
use web_time::{Duration, Instant};

/// The element that holds the mirror.
const PLACE: &str = "mirror";
/// Least time between two updates of the mirror.
const PAUSE: Duration = Duration::from_millis(250);

/// A node with text.
#[derive(Clone, PartialEq)]
struct Spoken {
    id: u64,
    kind: Kind,
    name: String,
    value: Option<String>,
    pressed: Option<bool>,
    disabled: bool,
}

/// The kind of element for a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Button,
    Check,
    Line,
    Text,
    Number,
    Words,
    Picture,
}

/// The plugin that keeps the mirror.
pub struct Mirror {
    shown: Vec<Spoken>,
    at: Instant,
    asked: Arc<Mutex<Vec<ActionRequest>>>,
}

impl Mirror {
    /// Switches AccessKit on and listens to the mirror's elements.
    pub fn install(context: &Context) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        for event in ["click", "change"] {
            let _ = listen(event, asked.clone(), context.clone());
        }
        context.enable_accesskit();
        context.add_plugin(Self { shown: Vec::new(), at: Instant::now(), asked });
    }
}

impl Plugin for Mirror {
    fn debug_name(&self) -> &'static str {
        "mirror"
    }

    fn input_hook(&mut self, _: &Context, input: &mut RawInput) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        input.events.extend(asked.drain(..).map(Event::AccessKitActionRequest));
    }

    fn output_hook(&mut self, context: &Context, output: &mut FullOutput) {
        let Some(update) = output.platform_output.accesskit_update.take() else { return };
        let spoken = spoken(&update);
        if spoken == self.shown {
            return;
        }
        if self.at.elapsed() < PAUSE {
            context.request_repaint_after(PAUSE);
            return;
        }
        self.at = Instant::now();
        let _ = show(&self.shown, &spoken);
        self.shown = spoken;
    }
}

/// The tree's nodes in reading order.
fn spoken(update: &TreeUpdate) -> Vec<Spoken> {
    let nodes: HashMap<NodeId, &Node> = update.nodes.iter().map(|(id, node)| (*id, node)).collect();
    let mut all = Vec::new();
    let Some(tree) = &update.tree else { return all };
    let mut rest = vec![tree.root];
    while let Some(id) = rest.pop() {
        let Some(node) = nodes.get(&id) else { continue };
        rest.extend(node.children().iter().rev());
        let kind = match node.role() {
            Role::Button
            | Role::ComboBox
            | Role::Link
            | Role::RadioButton
            | Role::Tab
            | Role::MenuItem
            | Role::DisclosureTriangle
            | Role::ColorWell => Kind::Button,
            Role::CheckBox => Kind::Check,
            Role::TextInput => Kind::Line,
            Role::MultilineTextInput => Kind::Text,
            Role::SpinButton | Role::Slider => Kind::Number,
            Role::Label | Role::ProgressIndicator => Kind::Words,
            Role::Image => Kind::Picture,
            _ => continue,
        };
        let labels = node.labelled_by().iter().filter_map(|id| nodes.get(id)?.value());
        let own = node.label().map(str::to_owned);
        let mut name = own.unwrap_or_else(|| labels.collect::<Vec<_>>().join(" "));
        let mut value = node.value().map(str::to_owned);
        if kind == Kind::Number {
            value = node.numeric_value().map(|value| value.to_string());
        } else if matches!(kind, Kind::Words | Kind::Button) {
            // The text of a label is its value, and so is the choice of a list.
            let value = value.take().filter(|value| *value != name).unwrap_or_default();
            name =
                [name, value].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
        }
        if name.is_empty() && value.is_none() {
            continue;
        }
        let pressed = node.toggled().map(|it| it == Toggled::True);
        let disabled = node.is_disabled();
        all.push(Spoken { id: id.0, kind, name, value, pressed, disabled });
    }
    all
}

/// Updates the elements. Unchanged elements are not touched, so that a screen reader keeps its position.
fn show(before: &[Spoken], now: &[Spoken]) -> Result<(), JsValue> {
    let document = web_sys::window().and_then(|it| it.document()).ok_or("no page")?;
    let place = document.get_element_by_id(PLACE).ok_or("no place for the mirror")?;
    let old: HashMap<u64, &Spoken> = before.iter().map(|it| (it.id, it)).collect();
    let new: HashMap<u64, &Spoken> = now.iter().map(|it| (it.id, it)).collect();
    for it in before {
        let stays = new.get(&it.id).is_some_and(|new| new.kind == it.kind);
        if let Some(element) = document.get_element_by_id(&name_of(it.id)).filter(|_| !stays) {
            element.remove();
        }
    }
    let mut next = place.first_element_child();
    for it in now {
        let known = document.get_element_by_id(&name_of(it.id));
        let is_new = known.is_none();
        let element = known.map_or_else(|| make(&document, it), Ok)?;
        if next.as_ref().is_some_and(|next| next.is_same_node(Some(&element))) {
            next = element.next_element_sibling();
        } else {
            place.insert_before(&element, next.as_deref())?;
        }
        if is_new || old.get(&it.id).is_none_or(|old| old != &it) {
            dress(&element, it)?;
        }
    }
    Ok(())
}

fn name_of(id: u64) -> String {
    format!("{PLACE}-{id}")
}

fn make(document: &Document, it: &Spoken) -> Result<Element, JsValue> {
    let (tag, attribute) = match it.kind {
        Kind::Button => ("button", ("type", "button")),
        Kind::Check => ("input", ("type", "checkbox")),
        Kind::Line => ("input", ("type", "text")),
        Kind::Number => ("input", ("type", "number")),
        Kind::Text => ("textarea", ("rows", "2")),
        Kind::Words => ("span", ("dir", "auto")),
        Kind::Picture => ("span", ("role", "img")),
    };
    let element = document.create_element(tag)?;
    element.set_id(&name_of(it.id));
    element.set_attribute(attribute.0, attribute.1)?;
    // The app itself handles keyboard navigation.
    element.set_attribute("tabindex", "-1")?;
    Ok(element)
}

fn dress(element: &Element, it: &Spoken) -> Result<(), JsValue> {
    match it.kind {
        Kind::Button | Kind::Words => element.set_text_content(Some(&it.name)),
        _ => element.set_attribute("aria-label", &it.name)?,
    }
    if it.kind == Kind::Button {
        match it.pressed {
            Some(pressed) => element.set_attribute("aria-pressed", &pressed.to_string())?,
            None => element.remove_attribute("aria-pressed")?,
        }
    }
    if let Some(input) = element.dyn_ref::<HtmlInputElement>() {
        input.set_checked(it.pressed == Some(true));
        if it.kind != Kind::Check {
            input.set_value(it.value.as_deref().unwrap_or_default());
        }
    } else if let Some(text) = element.dyn_ref::<HtmlTextAreaElement>() {
        text.set_value(it.value.as_deref().unwrap_or_default());
    }
    if it.disabled {
        element.set_attribute("disabled", "")
    } else {
        element.remove_attribute("disabled")
    }
}

/// Forwards an action on an element to the app.
fn listen(event: &str, asked: Arc<Mutex<Vec<ActionRequest>>>, context: Context) -> Option<()> {
    let place = web_sys::window()?.document()?.get_element_by_id(PLACE)?;
    let clicked = event == "click";
    let heard = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
        let element = event.target().and_then(|it| it.dyn_into::<Element>().ok());
        let Some(request) = element.and_then(|element| request(&element, clicked)) else { return };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        context.request_repaint();
    });
    place.add_event_listener_with_callback(event, heard.as_ref().unchecked_ref()).ok()?;
    heard.forget();
    Some(())
}

fn request(element: &Element, clicked: bool) -> Option<ActionRequest> {
    let id = element.id().strip_prefix(PLACE)?.strip_prefix('-')?.parse().ok()?;
    let input = element.dyn_ref::<HtmlInputElement>();
    let value = match input.map(HtmlInputElement::type_).as_deref() {
        None | Some("checkbox") => None,
        Some("number") => Some(ActionData::NumericValue(input?.value_as_number())),
        Some(_) => Some(ActionData::Value(input?.value().into())),
    };
    let text = element.dyn_ref::<HtmlTextAreaElement>();
    let value = value.or_else(|| Some(ActionData::Value(text?.value().into())));
    // A click is only for elements without a value.
    if clicked == value.is_some() || (!clicked && value.is_none()) {
        return None;
    }
    let action = if clicked { Action::Click } else { Action::SetValue };
    let (target_tree, target_node) = (TreeId::ROOT, NodeId(id));
    Some(ActionRequest { action, target_tree, target_node, data: value })
}
