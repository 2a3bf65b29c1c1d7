// The chat page. What the model or a person writes gets into the page as text nodes only; a token is kept in memory and nowhere else.

const find = (id) => document.getElementById(id);
const state = { languages: [], language: null, model: "", token: "", turns: [], abort: null };

// Access -------------------------------------------------------------------------------------------------------------------------------------------

// fetch with the token, asking for one as long as the server wants another.
async function request(path, options = {}) {
  for (;;) {
    const headers = { ...options.headers, ...(state.token && { Authorization: `Bearer ${state.token}` }) };
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401) return response;
    await askToken();
  }
}

function askToken() {
  const dialog = find("access");
  find("token").value = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve((state.token = find("token").value.trim())), { once: true }));
}

// Language -----------------------------------------------------------------------------------------------------------------------------------------

function setLanguage(code) {
  const language = state.languages.find((one) => one.code === code) ?? state.languages[0];
  state.language = language;
  document.documentElement.lang = language.code;
  document.title = language.labels.title;
  for (const element of document.querySelectorAll("[data-label]")) element.textContent = language.labels[element.dataset.label];
  find("text").placeholder = language.labels.placeholder;
  find("messages").setAttribute("aria-label", language.labels.messages);
  find("disclaimer").textContent = find("notice").querySelector(".disclaimer").textContent = language.disclaimer;
  find("emergency").textContent = find("notice").querySelector(".emergency").textContent = language.emergency;
  for (const select of [find("language"), find("notice-language")]) select.value = language.code;
}

function preferred() {
  const codes = state.languages.map((language) => language.code);
  return navigator.languages.map((tag) => tag.slice(0, 2)).find((code) => codes.includes(code)) ?? "en";
}

// Conversation -------------------------------------------------------------------------------------------------------------------------------------

function show(role, text) {
  const article = document.createElement("article");
  article.className = role;
  const who = document.createElement("h2");
  who.textContent = state.language.labels[role === "user" ? "you" : "model"];
  const body = document.createElement("p");
  body.dir = "auto";
  body.lang = state.language.code;
  const written = body.appendChild(document.createTextNode(text));
  article.append(who, body);
  find("messages").append(article);
  article.scrollIntoView({ block: "end" });
  return { article, written };
}

function remark(article, text) {
  const end = document.createElement("p");
  end.className = "end";
  end.textContent = text;
  article.append(end);
  end.scrollIntoView({ block: "nearest" });
}

// The events of a stream as JSON; a piece of network data may end anywhere, even within a character.
async function* events(response) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (part === "data: [DONE]") return;
      yield JSON.parse(part.slice("data: ".length));
    }
  }
}

async function failure(response) {
  const { error } = await response.json();
  return { code: error.code, message: error.message };
}

// Streams one reply; returns the remark to put below it, if any.
async function write(article, written) {
  const labels = state.language.labels;
  const messages = [{ role: "system", content: state.language.system }, ...state.turns];
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ model: state.model, messages, stream: true }),
    signal: state.abort.signal,
  });
  if (!response.ok) {
    const { code, message } = await failure(response);
    return labels[code] ?? `${labels.failed} ${message}`;
  }
  const log = find("messages");
  for await (const data of events(response)) {
    if (data.error) return `${labels.failed} ${data.error.message}`;
    const [choice] = data.choices;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    written.data += choice.delta.content ?? "";
    if (atEnd) log.scrollTop = log.scrollHeight;
    if (choice.finish_reason === "length") return labels.length;
  }
  return "";
}

async function send(text) {
  show("user", text);
  state.turns.push({ role: "user", content: text });
  const { article, written } = show("assistant", "");
  state.abort = new AbortController();
  busy(true);
  article.classList.add("writing");
  let end;
  try {
    end = await write(article, written);
  } catch (error) {
    end = error.name === "AbortError" ? state.language.labels.stopped : state.language.labels.unreachable;
  }
  article.classList.remove("writing");
  if (end) remark(article, end);
  if (written.data) state.turns.push({ role: "assistant", content: written.data });
  else state.turns.pop(); // without a reply the question is not part of the conversation: roles must alternate
  busy(false);
}

function busy(now) {
  find("send").hidden = now;
  find("stop").hidden = !now;
  find("fresh").disabled = now;
  find("text").focus();
}

// Start --------------------------------------------------------------------------------------------------------------------------------------------

async function start() {
  state.languages = await (await fetch("languages.json")).json();
  for (const select of [find("language"), find("notice-language")]) {
    for (const language of state.languages) {
      const option = new Option(language.name, language.code);
      option.lang = language.code;
      select.append(option);
    }
    select.addEventListener("change", () => setLanguage(select.value));
  }
  setLanguage(preferred());
  find("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find("text").value.trim();
    if (!text || state.abort) return;
    find("text").value = "";
    send(text).finally(() => { state.abort = null; });
  });
  find("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return; // Enter may end the choice of a character
    event.preventDefault();
    find("ask").requestSubmit();
  });
  find("stop").addEventListener("click", () => state.abort?.abort());
  find("fresh").addEventListener("click", () => {
    state.turns = [];
    find("messages").replaceChildren();
    find("text").focus();
  });
  const notice = find("notice");
  notice.addEventListener("close", () => (notice.returnValue === "accept" ? connect() : notice.showModal())); // Escape does not accept
  notice.showModal();
}

async function connect() {
  const list = await (await request("v1/models")).json();
  state.model = list.data[0].id;
  find("name").textContent = state.model;
  find("text").focus();
}

start();
