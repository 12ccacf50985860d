// The timeline of a dialogue, its player, the chosen utterance and the table: `timeline.py` makes the data.
// Gradio runs this once, with `element`, `props`, `trigger` and `watch`. All texts are set as text, never as HTML.

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const LEAST_TICK = 56, LEAST_BOX = 26, LETTER = 6.6;  // pixels

/** Make an element: `make("button.box", {type: "button"}, "text", child, …)`. */
function make(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const made = document.createElement(tag);
  made.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) made.style.setProperty(name, value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Write seconds as minutes:seconds, with hours where there are some. */
function clock(seconds, decimals = 0) {
  const whole = Math.floor(seconds + 1e-6), hours = Math.floor(whole / 3600);
  const rest = (seconds - 60 * Math.floor(whole / 60)).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

function draw(value) {
  element.replaceChildren();
  if (!value) return;
  const view = JSON.parse(value.text), media = value.media;
  const {utterances, signs, speakers, begin, end} = view;
  const length = end - begin;
  const place = seconds => `${100 * (seconds - begin) / length}%`;
  const colourOf = index => index === null ? "var(--body-text-color-subdued)" : signs[index].colour;
  const sign = index => make(`i.sign.${index === null ? "none" : signs[index].shape}`,
    {"--c": colourOf(index), "aria-hidden": "true"});
  const timeOf = one => view.timed ? `${clock(one.start, 1)} – ${clock(one.end, 1)}` : "";
  let chosen = null, stopAt = Infinity, zoom = null;

  // The legend: the emotions that were found, with their number.
  const legend = make("ul.legend");
  signs.forEach((each, index) => {
    const count = utterances.filter(one => one.sign === index).length;
    if (count) legend.append(make("li", {}, sign(index), each.name, make("b", {}, String(count))));
  });
  if (utterances.some(one => one.label === "nothing read")) legend.append(make("li", {}, sign(null), "nothing read"));

  // The timeline: a lane per speaker, a box per utterance, the axis below.
  const lanes = speakers.map(() => make("div.lane"));
  const boxes = utterances.map((one, index) => {
    const box = make("button.box", {
      type: "button", tabindex: "-1", "data-index": index, "--c": colourOf(one.sign), "--strength": one.strength,
      title: `${speakers[one.speaker]}: ${one.label} ${one.score}`,
      "aria-label": `${index + 1}, ${timeOf(one)} ${speakers[one.speaker]}: ${one.label} ${one.score}`,
    }, sign(one.sign), make("span", {}, one.label));
    const gap = view.timed ? 0 : 2;  // pixels on either side of turns that touch each other
    box.style.left = `calc(${place(one.start)} + ${gap}px)`;
    box.style.width = `calc(${100 * (one.end - one.start) / length}% - ${2 * gap}px)`;
    lanes[one.speaker].append(box);
    return box;
  });
  const axis = make("div.axis"), head = make("div.head", {hidden: ""});
  const strip = make("div.strip", {}, ...lanes, axis, head);
  const scroller = make("div.scroller", {tabindex: "-1"}, strip);
  const names = make("div.names", {}, ...speakers.map(name => make("div", {title: name}, make("span", {}, name))));
  const zoomButton = (text, title, change) => {
    const button = make("button", {type: "button", title, "aria-label": title}, text);
    button.addEventListener("click", () => setZoom(change()));
    return button;
  };
  const zooms = make("div.zooms", {role: "group", "aria-label": "Zoom"},
    zoomButton("−", "Zoom out", () => zoom / 1.6), zoomButton("+", "Zoom in", () => zoom * 1.6),
    zoomButton("All", "Show all", () => 1));

  /** Zoom so that most boxes hold their sign, or to a multiple of the width; not while the timeline is hidden. */
  function setZoom(wanted) {
    const width = scroller.clientWidth;
    if (!width) return;
    if (wanted === null) {
      const lengths = utterances.map(one => one.end - one.start).sort((one, other) => one - other);
      wanted = LEAST_BOX * length / (lengths[Math.floor(lengths.length / 2)] * width);
      wanted = wanted < 1.5 ? 1 : wanted;
      zoom = 1;
    }
    const middle = (scroller.scrollLeft + width / 2) / (width * zoom);
    zoom = Math.min(Math.max(1, wanted), Math.max(1, 120 * length / width));
    strip.style.width = `${100 * zoom}%`;
    const pixels = width * zoom / length;
    const step = STEPS.find(each => each * pixels >= LEAST_TICK) ?? STEPS.at(-1);
    utterances.forEach((one, index) => {
      const space = (one.end - one.start) * pixels;
      boxes[index].classList.toggle("small", space < 34 + LETTER * one.label.length);
      boxes[index].classList.toggle("tiny", space < 13);
    });
    axis.replaceChildren();
    if (view.timed) {
      for (let tick = Math.ceil(begin / step) * step; tick <= end; tick += step) {
        axis.append(make("span", {style: `left: ${place(tick)}`}, clock(tick)));
      }
    } else {
      const every = STEPS.find(each => each * pixels >= 26) ?? STEPS.at(-1);
      for (let number = 1; number <= utterances.length; number += every) {
        axis.append(make("span.number", {style: `left: ${place(number - 0.5)}`}, String(number)));
      }
    }
    scroller.scrollLeft = middle * width * zoom - width / 2;
  }

  // The player: the recording, or the clip of the chosen utterance.
  const isVideo = media.some(file => /\.(mp4|m4v|webm|mov|mkv|ogv)$/i.test(file.path));
  const player = media.length
    ? make(isVideo ? "video" : "audio", {controls: "", preload: "metadata", playsinline: ""}) : null;
  const unplayable = make("p.note", {hidden: ""});
  let loaded = null, isOurs = false;

  function load(medium) {
    if (loaded === medium) return;
    loaded = medium;
    unplayable.hidden = true;
    player.src = media[medium].url;
  }

  function play(index) {
    const one = utterances[index];
    if (!player || one.medium === null) return;
    load(one.medium);
    const isRecording = view.timed;
    const go = () => {
      player.currentTime = isRecording ? one.start : 0;
      stopAt = isRecording ? one.end : Infinity;
      isOurs = true;
      player.play().catch(() => {});
    };
    if (player.readyState) go();
    else player.addEventListener("loadedmetadata", go, {once: true});
  }

  function follow() {
    if (!view.timed || !player) return;
    const now = player.currentTime;
    head.hidden = false;
    head.style.left = place(Math.min(Math.max(now, begin), end));
    if (now >= stopAt && !player.paused) {
      player.pause();
      player.currentTime = stopAt;
    }
    if (stopAt === Infinity && !player.paused) {
      const here = utterances.findIndex(one => one.start <= now && now < one.end);
      if (here >= 0 && here !== chosen) choose(here);
    }
    if (!player.paused) requestAnimationFrame(follow);
  }

  if (player) {
    player.addEventListener("play", () => {
      if (!isOurs) stopAt = Infinity;  // by the player's own button: it goes on to the end
      isOurs = false;
      follow();
    });
    player.addEventListener("timeupdate", follow);  // where the tab is hidden, and where the visitor jumps
    player.addEventListener("error", () => {
      unplayable.hidden = false;
      unplayable.textContent =
        "This browser cannot play the file. It was read all the same; MP4, WebM, MP3 and WAV play everywhere.";
    });
  }

  // The chosen utterance.
  const detail = make("div.detail", {"aria-live": "polite"});
  const why = make("div.why");

  function bar(one, onclick) {
    const name = make(onclick ? "button.name" : "span.name", onclick ? {type: "button"} : {title: one.name},
      ...(one.sign === undefined ? [] : [sign(one.sign)]), make("span", {}, one.name));
    if (onclick) name.addEventListener("click", onclick);
    const rises = one.share < 0;
    return make(`div.bar${rises ? ".rises" : ""}`, {
      "--share": Math.abs(one.share), "--c": one.sign === undefined ? "" : colourOf(one.sign),
    }, name, make("span.track", {}, make("span.fill")), make("span.number", {}, one.text));
  }

  function showDetail(index) {
    const one = utterances[index];
    const buttons = make("div.buttons");
    if (player && one.medium !== null) {
      const button = make("button.play", {type: "button"}, "Play");
      button.addEventListener("click", () => play(index));
      buttons.append(button);
    }
    if (one.label !== "nothing read") {
      const ask = make("button.ask", {type: "button"}, "Why?");
      ask.addEventListener("click", () => {
        ask.disabled = true;
        ask.textContent = "Asking the model…";
        trigger("select", {index});
      });
      buttons.append(ask);
    }
    const where = [`${index + 1} of ${utterances.length}`, speakers[one.speaker], timeOf(one)].filter(Boolean);
    detail.replaceChildren(
      make("div.said", {},
        make("p.where", {}, where.join("  ·  ")),
        make("p.found", {"--c": colourOf(one.sign)}, sign(one.sign), make("span", {}, one.label),
          make("small", {}, one.score)),
        make("blockquote", {}, one.text || "(no text)"), buttons),
      make("div.bars", {}, ...one.bars.map(each => bar(each))));
    why.replaceChildren();
    showWhy();
  }

  /** Show why the chosen utterance got its label, if that is what the server has told last. */
  function showWhy() {
    const reasons = props.why;
    if (!reasons || reasons.index !== chosen) return;
    detail.querySelector(".ask")?.remove();
    if (reasons.error) {
      why.replaceChildren(make("p.note", {role: "alert"}, reasons.error));
      return;
    }
    why.replaceChildren(make("h4", {}, "Why?"), make("p.what", {}, `${reasons.what} without …`));
    for (const [title, lines] of [["this utterance", reasons.utterances], ["this modality of it", reasons.modalities]]) {
      if (lines.length) why.append(make("h5", {}, title));
      for (const one of lines) why.append(bar(one, one.index === null ? null : () => choose(one.index)));
    }
  }

  // The table.
  const columns = {"#": "narrow", ...(view.timed ? {Time: "middle"} : {}), Speaker: "wide", Text: "rest", Emotion: "wide",
    Score: "narrow"};
  const lines = utterances.map((one, index) => {
    const line = make("tr", {"data-index": index, tabindex: "-1"}, make("td.index", {}, String(index + 1)));
    if (view.timed) line.append(make("td.time", {}, clock(one.start, 1)));
    line.append(make("td.speaker", {}, speakers[one.speaker]), make("td.text", {}, one.text),
      make("td.emotion", {}, sign(one.sign), one.label), make("td.score", {}, one.score));
    return line;
  });
  const body = make("tbody", {}, ...lines);
  const table = make("table", {}, make("thead", {}, make("tr", {},
    ...Object.entries(columns).map(([name, width]) => make(`th.${width}`, {}, name)))), body);
  const tableBox = make("div.lines", {tabindex: "0", "aria-label": "All utterances"}, table);

  function choose(index) {
    if (chosen !== null) {
      boxes[chosen].classList.remove("chosen");
      boxes[chosen].tabIndex = -1;
      boxes[chosen].removeAttribute("aria-current");
      lines[chosen].removeAttribute("aria-current");
    }
    chosen = index;
    const box = boxes[index], line = lines[index];
    box.classList.add("chosen");
    box.tabIndex = 0;
    box.setAttribute("aria-current", "true");
    line.setAttribute("aria-current", "true");
    // Each in its own frame: the page itself stays where it is.
    const left = box.offsetLeft, right = left + box.offsetWidth, seen = scroller.scrollLeft;
    if (left < seen || right > seen + scroller.clientWidth) {
      const wanted = (left + right - scroller.clientWidth) / 2;
      const isNear = Math.abs(wanted - seen) < 2 * scroller.clientWidth;
      scroller.scrollTo({left: wanted, behavior: isNear ? "smooth" : "instant"});
    }
    const top = line.offsetTop - table.tHead.offsetHeight, bottom = line.offsetTop + line.offsetHeight;
    if (top < tableBox.scrollTop) tableBox.scrollTop = top;
    else if (bottom > tableBox.scrollTop + tableBox.clientHeight) tableBox.scrollTop = bottom - tableBox.clientHeight;
    showDetail(index);
  }

  const chooseAndPlay = index => { choose(index); play(index); };
  for (const part of [strip, body]) {
    part.addEventListener("click", event => {
      const found = event.target.closest("[data-index]");
      if (found) chooseAndPlay(Number(found.dataset.index));
    });
  }
  for (const part of [scroller, tableBox]) {
    part.addEventListener("keydown", event => {
      const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
      const next = Math.min(Math.max(0, chosen + (step ?? 0)), utterances.length - 1);
      if (!step) return;
      event.preventDefault();
      chooseAndPlay(next);
      if (part === scroller) boxes[next].focus({preventScroll: true});
    });
  }

  element.append(
    make("div.top", {}, legend, zooms),
    make("div.timeline", {}, names, scroller),
    ...(player ? [make(`div.player${isVideo ? ".video" : ""}`, {}, player, unplayable)] : []),
    detail, why, tableBox);
  drawn = {showWhy, resize: () => setZoom(zoom)};
  setZoom(null);
  scroller.scrollLeft = 0;
  const first = utterances.find(one => one.medium !== null);
  if (player && first) load(first.medium);
  choose(0);
}

let drawn = null;
watch("value", () => draw(props.value));
watch("why", () => drawn?.showWhy());
new ResizeObserver(() => drawn?.resize()).observe(element);
draw(props.value);
