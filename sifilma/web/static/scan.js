// Reads a code with the camera or from a photo: a QR code or a Code 128 with a card's UID, a machine's hardware number, or both.
"use strict";

const SIZES = [1600, 1000, 640]; // pixels of a photo's longer side: small codes need many, blurred ones few

// Parses `30 15 4B …`, `HW-1`, both separated by `;` or a line break, or the URL of a card's or a unit's label; returns null for anything else.
function codeRead(text) {
  const read = { uid: "", number: "" };
  for (const part of text.split(/[;\r\n]+/).map((one) => machine(one.trim())).filter(Boolean)) {
    const address = /^https?:\/\/[^\s]+\/kartu\/([0-9a-f]{16})(?:[/?#]|$)/i.exec(part);
    const plain = address ? address[1].toUpperCase() : part.replace(/[\s:-]/g, "").toUpperCase();
    if (!read.uid && /^[0-9A-F]{16}$/.test(plain)) read.uid = plain;
    else if (!read.number && /^[A-Z0-9][A-Z0-9./_-]{0,39}$/i.test(part.replace(/\s/g, ""))) read.number = part.replace(/\s/g, "").toUpperCase();
    else return null;
  }
  return read.uid || read.number ? read : null;
}

// The hardware number that the URL of a unit's label ends with; other texts as they are.
function machine(text) {
  const number = /^https?:\/\/[^\s]+\/unit\/[0-9a-f-]{36}#([^\s#]+)$/i.exec(text)?.[1];
  try {
    return number ? decodeURIComponent(number) : text;
  } catch {
    return text;
  }
}

const inPairs = (uid) => uid.replace(/(..)(?=.)/g, "$1 ");

// Returns the function that finds the text in a canvas (empty if there is none): the browser's detector, else ZXing's.
async function decoder(address) {
  const formats = ["qr_code", "code_128"];
  const own = (await globalThis.BarcodeDetector?.getSupportedFormats()) ?? [];
  if (formats.every((format) => own.includes(format))) {
    const detector = new BarcodeDetector({ formats });
    return async (canvas) => (await detector.detect(canvas))[0]?.rawValue ?? "";
  }
  if (!globalThis.ZXing) await loaded(address);
  const reader = new ZXing.MultiFormatReader();
  reader.setHints(new Map([
    [ZXing.DecodeHintType.POSSIBLE_FORMATS, [ZXing.BarcodeFormat.QR_CODE, ZXing.BarcodeFormat.CODE_128]],
    [ZXing.DecodeHintType.TRY_HARDER, true],
  ]));
  return async (canvas) => {
    try {
      return reader.decodeWithState(new ZXing.BinaryBitmap(new ZXing.HybridBinarizer(new ZXing.HTMLCanvasElementLuminanceSource(canvas)))).getText();
    } catch (error) {
      if (error instanceof ZXing.Exception) return ""; // no code found, or only a part of one
      throw error;
    }
  };
}

function loaded(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error(address)));
    document.head.append(script);
  });
}

// Draws an image or a video frame on a canvas of at most this size.
function drawn(canvas, source, width, height, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

// The scanning part of the form. `found` gets what was read and returns whether all of it could be used.
function scanner(part, found) {
  const words = JSON.parse(part.dataset.words), said = part.querySelector("[role=status]"), video = part.querySelector("video");
  const frame = part.querySelector("[data-frame]"), begin = part.querySelector("[data-begin]"), photo = part.querySelector("input[type=file]");
  const canvas = document.createElement("canvas");
  let stream = null, running = 0;
  const say = (text) => {
    if (said.textContent !== text) said.textContent = text;
  };

  const stop = () => {
    running += 1; // running loops see by it that they are over
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
    begin.hidden = !navigator.mediaDevices;
    if (frame.contains(document.activeElement)) begin.focus();
    frame.hidden = true;
  };

  // Returns whether the text could be used, and tells the user.
  const take = async (text) => {
    const read = codeRead(text);
    if (!read) {
      say(words.strange.replace("{text}", text.slice(0, 60)));
      return false;
    }
    const names = [read.uid && words.uid.replace("{uid}", inPairs(read.uid)), read.number && words.number.replace("{number}", read.number)];
    const told = words.read.replace("{what}", names.filter(Boolean).join(", "));
    say((await found(read)) ? told : `${told} ${words.elsewhere}`);
    return true;
  };

  const look = async (decode, turn) => {
    let last = "";
    while (turn === running) {
      const text = video.videoWidth ? await decode(drawn(canvas, video, video.videoWidth, video.videoHeight, 1280)) : "";
      if (turn !== running) return;
      if (text && text === last) { // read twice alike, because a blurred bar code can be misread once
        const read = codeRead(text);
        if (read) stop();
        await take(text);
        if (read) return;
      }
      last = text;
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
  };

  begin.addEventListener("click", async () => {
    stop();
    const turn = running;
    say(words.asking);
    try {
      const asked = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: "environment", width: { ideal: 1280 } } });
      if (turn !== running) return asked.getTracks().forEach((track) => track.stop());
      stream = video.srcObject = asked;
      frame.hidden = false;
      begin.hidden = true;
      frame.querySelector("button").focus();
      await video.play();
      say(words.looking);
      await look(await decoder(part.dataset.decoder), turn);
    } catch (error) {
      if (turn !== running) return;
      stop();
      say({ NotAllowedError: words.refused, NotFoundError: words.none, OverconstrainedError: words.none, NotReadableError: words.busy }[error.name] ?? words.failed);
    }
  });
  frame.querySelector("button").addEventListener("click", () => {
    stop();
    say("");
  });
  window.addEventListener("pagehide", stop);
  document.addEventListener("visibilitychange", () => document.hidden && stream && stop());

  photo.addEventListener("change", async () => {
    const [file] = photo.files;
    if (!file) return;
    photo.value = ""; // at once, so that the same photo can be chosen again, none is sent, and one chosen meanwhile is kept
    stop();
    say(words.looking);
    try {
      const image = await createImageBitmap(file), decode = await decoder(part.dataset.decoder);
      let text = "";
      for (const size of SIZES) text ||= await decode(drawn(canvas, image, image.width, image.height, size));
      if (text) await take(text);
      else say(words.nothing);
    } catch {
      say(words.unreadable);
    }
  });

  part.hidden = false;
  begin.hidden = !navigator.mediaDevices; // absent on pages without https
}
