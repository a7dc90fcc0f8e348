"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  // A figure that is small has no room for buttons; a double click shows all again.
  const options = (key) => ({
    responsive: true,
    displaylogo: false,
    displayModeBar: document.getElementById(key).clientWidth > 480 ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  });

  // Names of colours begin with @; the style sheet has them for both themes.
  const themed = (value, style) => {
    if (typeof value === "string" && /^@[a-z0-9]+$/.test(value)) {
      return style.getPropertyValue("--" + value.slice(1)).trim();
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item, style)]));
    }
    return value;
  };

  const colours = ["color", "fillcolor"];
  // Only what is a colour: a text of the user's may begin with @ too.
  const styled = (item, style) => {
    if (Array.isArray(item)) return item.map((each) => styled(each, style));
    if (!item || typeof item !== "object") return item;
    return Object.fromEntries(
      Object.entries(item).map(([key, value]) => [
        key,
        colours.includes(key) ? themed(value, style) : key === "x" || key === "y" || key === "text" ? value : styled(value, style),
      ])
    );
  };

  const axis = (given, style) => ({
    gridcolor: style.getPropertyValue("--rule").trim(),
    linecolor: style.getPropertyValue("--rule").trim(),
    zerolinecolor: style.getPropertyValue("--rule").trim(),
    automargin: true,
    ...given,
  });

  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const text = style.getPropertyValue("--text").trim();
    const page = style.getPropertyValue("--page").trim();
    for (const [key, figure] of Object.entries(figures)) {
      const layout = {
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        margin: { t: 44, b: 50, l: 64, r: 16 },
        ...styled(figure.layout, style),
        font: { color: text, size: 12, family: getComputedStyle(document.body).fontFamily },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: style.getPropertyValue("--quiet").trim(), activecolor: text },
        hoverlabel: { bgcolor: page, bordercolor: text, font: { color: text } },
      };
      layout.xaxis = axis(layout.xaxis, style);
      layout.yaxis = axis(layout.yaxis, style);
      Plotly.react(key, styled(figure.data, style), layout, options(key));
    }
  };

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
