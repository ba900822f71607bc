"use strict";

const INTERVAL_MS = 5000;
const ANSWER_TIME_MAX_MS = 4000;

const notice = document.getElementById("notice");
let answeredAt = Date.now();
let timer = setTimeout(run, INTERVAL_MS);

// Hidden pages request nothing; a page that is shown again does so at once.
document.addEventListener("visibilitychange", run);

async function run() {
  clearTimeout(timer);
  if (document.hidden) {
    return;
  }
  try {
    // Without the user and password that an address may have: `fetch` refuses them.
    const url = location.origin + location.pathname;
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_TIME_MAX_MS) });
    if (!answer.ok) {
      throw new Error(answer.status);
    }
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    answeredAt = Date.now();
    notice.hidden = true;
  } catch {
    const seconds = Math.round((Date.now() - answeredAt) / 1000);
    notice.textContent = `The service has not answered for ${seconds} s. What is shown is older than that.`;
    notice.hidden = false;
  }
  // A second call may have begun meanwhile.
  clearTimeout(timer);
  timer = setTimeout(run, INTERVAL_MS);
}

// Only what has changed, so that a selection and the position in a table stay.
function replace(next) {
  const sections = [...document.querySelector("main").children];
  const newSections = [...next.querySelector("main").children];
  if (sections.length === newSections.length) {
    sections.forEach((section, place) => {
      if (!section.isEqualNode(newSections[place])) {
        const left = section.querySelector(".wide")?.scrollLeft;
        section.replaceWith(newSections[place]);
        newSections[place].querySelector(".wide")?.scrollTo(left ?? 0, 0);
      }
    });
  } else {
    document.querySelector("main").replaceWith(next.querySelector("main"));
  }
  document.title = next.title;
}
