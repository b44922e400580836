// Drawings are looked at more closely with the wheel, and moved by dragging; a double click shows all again.
for (const svg of document.querySelectorAll('main > svg')) {
  const whole = svg.viewBox.baseVal, home = [whole.x, whole.y, whole.width, whole.height];
  let view = [...home], held = null;
  const show = () => svg.setAttribute('viewBox', view.join(' '));
  const at = e => {
    const box = svg.getBoundingClientRect();
    return [view[0] + (e.clientX - box.left) / box.width * view[2], view[1] + (e.clientY - box.top) / box.height * view[3]];
  };
  svg.addEventListener('wheel', e => {
    e.preventDefault();
    const [x, y] = at(e), by = Math.min(Math.exp(e.deltaY / 500), home[2] / view[2]);
    view = [x - (x - view[0]) * by, y - (y - view[1]) * by, view[2] * by, view[3] * by];
    show();
  }, { passive: false });
  svg.addEventListener('pointerdown', e => { held = at(e); svg.setPointerCapture(e.pointerId); });
  svg.addEventListener('pointerup', () => { held = null; });
  svg.addEventListener('pointermove', e => {
    if (!held) return;
    const [x, y] = at(e);
    view[0] += held[0] - x;
    view[1] += held[1] - y;
    show();
  });
  svg.addEventListener('dblclick', () => { view = [...home]; show(); });
}
