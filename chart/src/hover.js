// Shows what a chart's lines are where the pointer is, and marks the same time in all charts.
(() => {
  const tip = document.body.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.hidden = true;
  const all = [...document.querySelectorAll("figure.chart")].map((figure) => {
    const { axis, end, top } = figure.dataset;
    const lines = [...figure.querySelectorAll(".line")].map((path) => ({
      name: path.dataset.name,
      color: path,
      points: [...path.getAttribute("d").matchAll(/[ML]([\d.]+) ([\d.]+)/g)].map((m) => [m[1] / 1000, 1 - m[2] / 1000]),
    }));
    const cross = document.createElement("i");
    cross.className = "cross";
    cross.hidden = true;
    const plot = figure.querySelector(".plot");
    plot.append(cross);
    return { figure, plot, cross, axis, end: +end, top: +top, unit: figure.dataset.unit, lines };
  });
  const near = (points, x) =>
    points.reduce((best, point) => (best && Math.abs(best[0] - x) <= Math.abs(point[0] - x) ? best : point), null);
  const number = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : +value.toPrecision(3));
  const hide = () => {
    tip.hidden = true;
    for (const { cross } of all) cross.hidden = true;
  };
  for (const chart of all) {
    chart.plot.addEventListener("pointerleave", hide);
    chart.plot.addEventListener("pointermove", (event) => {
      const box = chart.plot.getBoundingClientRect();
      const x = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      for (const other of all) {
        if (other.axis !== chart.axis || other.end !== chart.end) continue;
        other.cross.hidden = false;
        other.cross.style.left = `${x * 100}%`;
      }
      const at = x * chart.end;
      const head = chart.axis === "time" ? `${at.toFixed(0)} s` : `p${+(100 - 100 / 10 ** at).toFixed(at < 1 ? 0 : 3)}`;
      tip.replaceChildren(document.createElement("b"));
      tip.firstChild.textContent = head;
      for (const line of chart.lines) {
        const point = near(line.points, x);
        // A line that has no value around here says none.
        if (!point || Math.abs(point[0] - x) * chart.end > Math.max(2, chart.end / 100)) continue;
        const row = tip.appendChild(document.createElement("div"));
        row.textContent = `${line.name}: ${number(point[1] * chart.top)} ${chart.unit}`;
        row.style.borderColor = getComputedStyle(line.color).stroke;
      }
      tip.hidden = false;
      const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14;
      tip.style.left = `${Math.max(4, left) + scrollX}px`;
      tip.style.top = `${event.clientY + scrollY - tip.offsetHeight / 2}px`;
    });
  }
})();
