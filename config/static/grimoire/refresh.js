// Keeps the page of an unfinished cast fresh: replaces #live by what the server shows now, and stops when the cast has ended.
"use strict";
(() => {
    const live = () => document.getElementById("live");
    const isBusy = () => {
        const focused = document.activeElement;
        const fields = [...live().querySelectorAll("textarea, input[type=text], input[type=number], input[type=radio]")];
        return document.hidden || live().querySelector("details.sure[open]") || (focused && focused.form && live().contains(focused))
            || fields.some((field) => field.type === "radio" ? field.checked : field.value !== field.defaultValue);
    };
    const refresh = async () => {
        const wait = Number(live().dataset.refresh);
        if (!wait) return;
        if (!isBusy()) {
            try {
                const answer = await fetch(location.href, {headers: {Accept: "text/html"}, redirect: "error"});
                const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
                if (fresh && !isBusy()) {
                    for (const open of live().querySelectorAll("details[id][open]")) {
                        fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
                    }
                    live().replaceWith(document.adoptNode(fresh));
                }
            } catch (error) {
                console.warn("The page could not be refreshed; it is tried again.", error);
            }
        }
        setTimeout(refresh, wait);
    };
    setTimeout(refresh, Number(live()?.dataset.refresh) || 0);
})();
