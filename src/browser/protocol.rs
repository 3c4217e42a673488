//! The used part of the Chrome DevTools Protocol: commands, and the used fields of responses and events. Unused events
//! are never decoded.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::screencast::TouchPoint;
use crate::transport::Command;

/// Declares a command: its fields, method and response type.
macro_rules! command {
    ($name:ident $(<$life:lifetime>)? { $($field:ident : $kind:ty),* $(,)? } = $method:literal -> $answer:ty) => {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name $(<$life>)? {
            $(pub $field: $kind,)*
        }

        impl $(<$life>)? Command for $name $(<$life>)? {
            const METHOD: &'static str = $method;
            type Answer = $answer;
        }
    };
}

/// A response without used fields.
#[derive(Deserialize)]
pub struct Done {}

command!(GetVersion {} = "Browser.getVersion" -> Version);
command!(CloseBrowser {} = "Browser.close" -> Done);
command!(SetDownloads<'a> {
    behavior: &'a str, download_path: &'a str, events_enabled: bool,
} = "Browser.setDownloadBehavior" -> Done);
command!(CancelDownload<'a> { guid: &'a str } = "Browser.cancelDownload" -> Done);

command!(Discover { discover: bool } = "Target.setDiscoverTargets" -> Done);
command!(AutoAttach {
    auto_attach: bool, wait_for_debugger_on_start: bool, flatten: bool, filter: Vec<TargetFilter>,
} = "Target.setAutoAttach" -> Done);
command!(CreateTarget<'a> { url: &'a str } = "Target.createTarget" -> CreatedTarget);
command!(CloseTarget<'a> { target_id: &'a str } = "Target.closeTarget" -> Done);
command!(GetTarget<'a> { target_id: &'a str } = "Target.getTargetInfo" -> TargetChanged);
command!(GoOn {} = "Runtime.runIfWaitingForDebugger" -> Done);

command!(InspectorEnable {} = "Inspector.enable" -> Done);
command!(PageEnable {} = "Page.enable" -> Done);
command!(InterceptChooser { enabled: bool } = "Page.setInterceptFileChooserDialog" -> Done);
command!(Lifecycle { enabled: bool } = "Page.setLifecycleEventsEnabled" -> Done);
command!(FrameTree {} = "Page.getFrameTree" -> Frames);
command!(Navigate<'a> { url: &'a str } = "Page.navigate" -> Navigated);
command!(Reload {} = "Page.reload" -> Done);
command!(StopLoading {} = "Page.stopLoading" -> Done);
command!(Crash {} = "Page.crash" -> Done);
command!(Terminate {} = "Runtime.terminateExecution" -> Done);
command!(ClearCache {} = "Network.clearBrowserCache" -> Done);
command!(History {} = "Page.getNavigationHistory" -> HistoryList);
command!(ToHistory { entry_id: i64 } = "Page.navigateToHistoryEntry" -> Done);
command!(PrintPdf { print_background: bool } = "Page.printToPDF" -> Captured);
command!(BringToFront {} = "Page.bringToFront" -> Done);
command!(AnswerDialog<'a> {
    accept: bool, prompt_text: &'a str,
} = "Page.handleJavaScriptDialog" -> Done);
command!(IsolatedWorld<'a> {
    frame_id: &'a str, world_name: &'a str,
} = "Page.createIsolatedWorld" -> World);
command!(Metrics {} = "Page.getLayoutMetrics" -> Layout);
command!(Capture<'a> {
    format: &'a str, quality: u8, clip: Clip, capture_beyond_viewport: bool,
    optimize_for_speed: bool,
} = "Page.captureScreenshot" -> Captured);
command!(StartCast<'a> {
    format: &'a str, quality: u8, max_width: u32, max_height: u32, every_nth_frame: u32,
} = "Page.startScreencast" -> Done);
command!(StopCast {} = "Page.stopScreencast" -> Done);
command!(AckFrame { session_id: i64 } = "Page.screencastFrameAck" -> Done);

command!(AxTree<'a> { frame_id: &'a str } = "Accessibility.getFullAXTree" -> AnyAnswer);
command!(FrameOwner<'a> { frame_id: &'a str } = "DOM.getFrameOwner" -> Owner);
command!(Resolve { backend_node_id: i64, execution_context_id: i64 } = "DOM.resolveNode" -> Resolved);
command!(Describe<'a> { object_id: &'a str } = "DOM.describeNode" -> Described);
command!(SetFiles<'a> { files: &'a [String], backend_node_id: i64 } = "DOM.setFileInputFiles" -> Done);

command!(Evaluate<'a> {
    expression: &'a str, await_promise: bool, return_by_value: bool, user_gesture: bool,
} = "Runtime.evaluate" -> Evaluated);
command!(EvaluateIn<'a> {
    expression: &'a str, context_id: i64, await_promise: bool, return_by_value: bool,
} = "Runtime.evaluate" -> Evaluated);
command!(CallOn<'a> {
    function_declaration: &'a str, object_id: &'a str, arguments: Vec<Argument>,
    await_promise: bool, return_by_value: bool,
} = "Runtime.callFunctionOn" -> Evaluated);
command!(ReleaseObject<'a> { object_id: &'a str } = "Runtime.releaseObject" -> Done);

command!(AllCookies {} = "Storage.getCookies" -> Cookies);
command!(PutCookies<'a> { cookies: [NewCookie<'a>; 1] } = "Storage.setCookies" -> Done);
command!(ClearCookies {} = "Storage.clearCookies" -> Done);
command!(DropCookie<'a> {
    name: &'a str, domain: &'a str, path: &'a str,
} = "Network.deleteCookies" -> Done);

command!(HearConsole {} = "Runtime.enable" -> Done);
command!(HearRequests {
    max_total_buffer_size: u32, max_resource_buffer_size: u32,
} = "Network.enable" -> Done);
command!(SetNetwork {
    offline: bool, latency: f64, download_throughput: f64, upload_throughput: f64,
} = "Network.emulateNetworkConditions" -> Done);

command!(SetSize {
    width: u32, height: u32, device_scale_factor: f64, mobile: bool,
} = "Emulation.setDeviceMetricsOverride" -> Done);
command!(UsualSize {} = "Emulation.clearDeviceMetricsOverride" -> Done);
command!(SetTouch { enabled: bool } = "Emulation.setTouchEmulationEnabled" -> Done);
command!(SetZone<'a> { timezone_id: &'a str } = "Emulation.setTimezoneOverride" -> Done);
command!(SetLocale<'a> { locale: &'a str } = "Emulation.setLocaleOverride" -> Done);
command!(SetMedia<'a> {
    media: &'a str, features: Vec<MediaFeature<'a>>,
} = "Emulation.setEmulatedMedia" -> Done);

command!(CaptureNodes { computed_styles: [&'static str; 1] } = "DOMSnapshot.captureSnapshot" -> AnyAnswer);
command!(LoadResource<'a> {
    frame_id: &'a str, url: &'a str, options: LoadOptions,
} = "Network.loadNetworkResource" -> Loaded);
command!(ReadStream<'a> { handle: &'a str, size: u32 } = "IO.read" -> StreamPart);
command!(CloseStream<'a> { handle: &'a str } = "IO.close" -> Done);

command!(MouseEvent<'a> {
    r#type: &'a str, x: f64, y: f64, button: &'a str, buttons: u8, click_count: u8,
    delta_x: f64, delta_y: f64, modifiers: u8,
} = "Input.dispatchMouseEvent" -> Done);
command!(KeyEvent<'a> {
    r#type: &'a str, key: &'a str, code: &'a str, text: &'a str, windows_virtual_key_code: u32,
    modifiers: u8, auto_repeat: bool, commands: &'a [&'a str],
} = "Input.dispatchKeyEvent" -> Done);
command!(TouchEvent<'a> {
    r#type: &'a str, touch_points: &'a [TouchPoint], modifiers: u8,
} = "Input.dispatchTouchEvent" -> Done);
command!(InsertText<'a> { text: &'a str } = "Input.insertText" -> Done);
command!(InterceptDrags { enabled: bool } = "Input.setInterceptDrags" -> Done);
command!(DragEvent<'a> {
    r#type: &'a str, x: f64, y: f64, data: &'a RawValue,
} = "Input.dispatchDragEvent" -> Done);

/// How a resource is fetched again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadOptions {
    pub disable_cache: bool,
    pub include_credentials: bool,
}

/// Which targets are attached automatically.
#[derive(Serialize)]
pub struct TargetFilter {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub exclude: bool,
}

/// One argument of a function in the page.
#[derive(Serialize)]
pub struct Argument {
    pub value: Value,
}

/// A cookie to write.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCookie<'a> {
    pub name: &'a str,
    pub value: &'a str,
    pub domain: &'a str,
    pub path: &'a str,
    pub secure: bool,
    pub http_only: bool,
}

/// A media feature, such as `prefers-color-scheme`.
#[derive(Serialize)]
pub struct MediaFeature<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// A region of the page in CSS pixels.
#[derive(Serialize)]
pub struct Clip {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub scale: f64,
}

/// A response that the caller decodes.
pub type AnyAnswer = Box<RawValue>;

#[derive(Deserialize)]
pub struct Version {
    pub product: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedTarget {
    pub target_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frames {
    pub frame_tree: FrameNode,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameNode {
    pub frame: FrameInfo,
    #[serde(default)]
    pub child_frames: Vec<FrameNode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameInfo {
    pub id: String,
    pub parent_id: Option<String>,
    pub loader_id: String,
    pub url: String,
    /// The requested address if the browser shows its own error page.
    pub unreachable_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Navigated {
    pub loader_id: Option<String>,
    pub error_text: Option<String>,
    #[serde(default)]
    pub is_download: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryList {
    pub current_index: usize,
    pub entries: Vec<HistoryEntry>,
}

#[derive(Deserialize)]
pub struct HistoryEntry {
    pub id: i64,
    pub url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct World {
    pub execution_context_id: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layout {
    pub css_visual_viewport: Viewport,
    pub css_content_size: Size,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Viewport {
    pub page_x: f64,
    pub page_y: f64,
    pub client_width: f64,
    pub client_height: f64,
}

#[derive(Deserialize)]
pub struct Size {
    pub width: f64,
    pub height: f64,
}

#[derive(Deserialize)]
pub struct Loaded {
    pub resource: LoadedResource,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedResource {
    pub success: bool,
    pub net_error_name: Option<String>,
    pub http_status_code: Option<f64>,
    pub stream: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPart {
    #[serde(default)]
    pub base64_encoded: bool,
    pub data: String,
    pub eof: bool,
}

#[derive(Deserialize)]
pub struct Captured {
    pub data: String,
}

#[derive(Deserialize)]
pub struct Cookies {
    pub cookies: Vec<CookieInfo>,
}

/// A cookie without its value, which is never read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CookieInfo {
    pub name: String,
    pub domain: String,
    pub path: String,
    /// Unix time in seconds; -1 for a session cookie.
    #[serde(default)]
    pub expires: f64,
    pub http_only: bool,
    pub secure: bool,
}

/// A console message of a page.
#[derive(Deserialize)]
pub struct ConsoleCalled {
    #[serde(rename = "type")]
    pub kind: String,
    pub args: Vec<RemoteObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExceptionThrown {
    pub exception_details: Exception,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestSent {
    pub request_id: String,
    pub request: SentRequest,
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

#[derive(Deserialize)]
pub struct SentRequest {
    pub url: String,
    pub method: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseCame {
    pub request_id: String,
    pub response: CameResponse,
}

#[derive(Deserialize)]
pub struct CameResponse {
    pub status: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadingFailed {
    pub request_id: String,
    pub error_text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    pub backend_node_id: i64,
}

#[derive(Deserialize)]
pub struct Described {
    pub node: Owner,
}

#[derive(Deserialize)]
pub struct Resolved {
    pub object: RemoteObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evaluated {
    pub result: RemoteObject,
    pub exception_details: Option<Exception>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemoteObject {
    pub object_id: Option<String>,
    #[serde(default)]
    pub value: Value,
    pub description: Option<String>,
}

#[derive(Deserialize)]
pub struct Exception {
    pub text: String,
    pub exception: Option<RemoteObject>,
}

/// The accessibility tree.
#[derive(Deserialize)]
pub struct AxNodes<'a> {
    #[serde(borrow)]
    pub nodes: Vec<AxNode<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AxNode<'a> {
    pub node_id: &'a str,
    #[serde(default)]
    pub ignored: bool,
    #[serde(borrow)]
    pub role: Option<AxWord<'a>>,
    #[serde(borrow)]
    pub name: Option<AxWord<'a>>,
    #[serde(borrow)]
    pub value: Option<AxWord<'a>>,
    #[serde(borrow, default)]
    pub properties: Vec<AxProperty<'a>>,
    #[serde(borrow, default)]
    pub child_ids: Vec<&'a str>,
    #[serde(rename = "backendDOMNodeId")]
    pub backend: Option<i64>,
}

#[derive(Deserialize)]
pub struct AxProperty<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow)]
    pub value: AxWord<'a>,
}

/// A value of the tree; lists of nodes stay undecoded.
#[derive(Deserialize)]
pub struct AxWord<'a> {
    #[serde(borrow)]
    pub value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attached {
    pub session_id: String,
    pub target_info: TargetInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Detached {
    pub session_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetChanged {
    pub target_info: TargetInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetInfo {
    pub target_id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub url: String,
    pub opener_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetCrashed {
    pub target_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameAttached {
    pub frame_id: String,
    pub parent_frame_id: String,
}

#[derive(Deserialize)]
pub struct FrameNavigated {
    pub frame: FrameInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameEvent {
    pub frame_id: String,
    pub url: Option<String>,
    pub reason: Option<String>,
    pub name: Option<String>,
    pub loader_id: Option<String>,
}

#[derive(Deserialize)]
pub struct DialogOpening {
    pub message: String,
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChooserOpened {
    pub frame_id: String,
    pub mode: String,
    pub backend_node_id: Option<i64>,
}

#[derive(Deserialize)]
pub struct DragIntercepted {
    pub data: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadBegins {
    #[serde(default)]
    pub frame_id: String,
    pub guid: String,
    pub url: String,
    pub suggested_filename: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DownloadProgress {
    pub guid: String,
    pub total_bytes: f64,
    pub received_bytes: f64,
    pub state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CastFrame {
    pub data: String,
    pub session_id: i64,
    pub metadata: CastMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CastMetadata {
    pub device_width: f64,
    pub device_height: f64,
    pub page_scale_factor: f64,
    pub scroll_offset_x: f64,
    pub scroll_offset_y: f64,
}
